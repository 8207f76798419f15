package durability

import (
	"flag"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

var killRounds = flag.Int("crash", 10, "how often TestKilled kills the daemon")

// Clients change as much as they can when the daemon is killed. What was
// answered is there when it is back.
func TestKilled(t *testing.T) { tryEnds(t, *killRounds, (*lab.Daemon).Kill) }

// The same when it is asked to end.
func TestStopped(t *testing.T) { tryEnds(t, 3, (*lab.Daemon).Stop) }

func tryEnds(t *testing.T, rounds int, end func(*lab.Daemon) error) {
	_, d := newLab(t)
	clients := newClients(8)
	answers := 0
	for range rounds {
		start(t, d)
		compareServed(t, clients, d)
		answers += workUntil(t, clients, d, func() {
			if err := end(d); err != nil {
				t.Error(err)
			}
		})
		if err := compareLeft(clients, d.Database); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			return
		}
	}
	start(t, d)
	compareServed(t, clients, d)
	stopAndInspect(t, d, d.Database, clients...)
	t.Logf("%d answers while the daemon ended %d times", answers, rounds)
}

// compareServed compares the daemon's answers with the histories of the clients.
func compareServed(t *testing.T, clients []*client, d *lab.Daemon) {
	t.Helper()
	from := mustDial(t, d.Socket)
	defer from.Close()
	if err := compareAll(clients, from); err != nil {
		t.Error(err)
	}
}

// workUntil has all clients work, calls end at some time in the middle of it,
// and returns how many changes were answered when all have noticed.
func workUntil(t *testing.T, clients []*client, d *lab.Daemon, end func()) (answers int) {
	t.Helper()
	var working, done sync.WaitGroup
	for _, c := range clients {
		working.Add(1)
		done.Go(func() {
			report := sync.OnceFunc(working.Done)
			defer report()
			if err := c.work(d.Socket, report); err != nil {
				t.Error(err)
			}
		})
	}
	working.Wait()
	time.Sleep(time.Duration(rand.IntN(100_000)) * time.Microsecond)
	end()
	done.Wait()
	for _, c := range clients {
		answers += c.answered
	}
	return answers
}
