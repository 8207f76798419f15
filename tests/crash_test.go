package tests

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// Clients store as fast as they can when the daemon is killed, or asked to
// end. What it has answered is there when it is back; of what it was asked
// last, either the whole or nothing.
func TestNothingIsLost(t *testing.T) {
	t.Run("killed", func(t *testing.T) { testNothingIsLost(t, (*lab.Daemon).Kill) })
	t.Run("stopped", func(t *testing.T) { testNothingIsLost(t, (*lab.Daemon).Stop) })
}

func testNothingIsLost(t *testing.T, end func(*lab.Daemon) error) {
	const rounds = 3
	_, d := newLab(t)
	clients := make([]*storer, 6)
	for i := range clients {
		clients[i] = &storer{cache: fmt.Sprintf("%s:%d", ownName(), i)}
	}
	for round := range rounds {
		if err := d.Start(); err != nil {
			t.Fatal(err)
		}
		var working, done sync.WaitGroup
		for _, c := range clients {
			working.Add(1)
			done.Go(func() {
				report := sync.OnceFunc(working.Done)
				defer report()
				if err := c.check(d.Socket); err != nil {
					t.Error(err)
					return
				}
				if err := c.store(d.Socket, report); err != nil {
					t.Error(err)
				}
			})
		}
		// All are in the middle of it; where exactly is different each time.
		working.Wait()
		time.Sleep(time.Duration(20+30*round) * time.Millisecond)
		if err := end(d); err != nil {
			t.Error(err)
		}
		done.Wait()
	}

	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, c := range clients {
		if err := c.check(d.Socket); err != nil {
			t.Error(err)
		}
		total += len(c.stored)
	}
	t.Logf("%d credentials were stored while the daemon ended %d times", total, rounds)
}

// A storer is a client with a cache of its own that knows what must be in it.
type storer struct {
	cache  string
	made   bool     // the cache exists
	stored []string // in this order
	asked  string   // may be stored after these: there was no answer
	serial int
}

// store stores until the daemon goes away. It calls working once that is
// going on.
func (s *storer) store(socket string, working func()) error {
	c, err := dial(socket)
	if err != nil {
		return fmt.Errorf("%s: %w", s.cache, err)
	}
	defer c.Close()
	if !s.made {
		if code, _, err := c.call(opInitialize, name(s.cache), principal("alice")); code != 0 || err != nil {
			return fmt.Errorf("cannot make %s: code %d, %w", s.cache, code, err)
		}
		s.made = true
	}
	for n := 0; ; n++ {
		s.serial++
		cred := credential(fmt.Sprintf("service%d", s.serial))
		s.asked = string(cred)
		code, _, err := c.call(opStore, name(s.cache), cred)
		if err != nil {
			return nil
		}
		if code != 0 {
			return fmt.Errorf("cannot store in %s: code %d", s.cache, code)
		}
		s.stored, s.asked = append(s.stored, s.asked), ""
		if n == 5 {
			working()
		}
	}
}

// check checks that the cache has what was stored, in order and byte for byte,
// and beyond that at most what was asked for last.
func (s *storer) check(socket string) error {
	c, err := dial(socket)
	if err != nil {
		return fmt.Errorf("%s: %w", s.cache, err)
	}
	defer c.Close()
	code, reply, err := c.call(opGetCredList, name(s.cache))
	if err != nil {
		return fmt.Errorf("%s: %w", s.cache, err)
	}
	if !s.made {
		if code != codeNoFile {
			return fmt.Errorf("%s: code %d, though nobody has made it", s.cache, code)
		}
		return nil
	}
	if code != 0 {
		return fmt.Errorf("%s: code %d", s.cache, code)
	}
	got, err := credentials(reply)
	if err != nil {
		return fmt.Errorf("%s: %w", s.cache, err)
	}
	if len(got) == len(s.stored)+1 && s.asked != "" {
		s.stored = append(s.stored, s.asked)
	}
	s.asked = ""
	if !slices.Equal(got, s.stored) {
		return fmt.Errorf("%s: %d credentials, which are not the %d that were stored", s.cache, len(got), len(s.stored))
	}
	return nil
}
