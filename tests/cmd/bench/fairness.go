package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

const (
	quietUID    = firstUID - 1
	crowdUID    = firstUID - 2
	crowdOfUser = 64
)

// The others, beside whom a quiet user asks.
const (
	besideClients = "64 clients of another user"
	besideMoves   = "hostile users"
	ownServer     = ", own server"
)

var quietQuantiles = []float64{0.5, 0.99}

// fairness measures how much longer a quiet user waits for RETRIEVE beside others than
// alone: clients that do not pause, and the hostile moves of tests/system, each by a
// user of its own. On busy processors the user waits with any server, so that the
// same is measured at a kcmd that nobody else uses.
func (b *bench) fairness() {
	attackers := b.lab.Path("attackers")
	build := exec.Command("go", "test", "-c", "-o", attackers, "./tests/system")
	build.Dir = b.options.root
	got(lab.Output(build))
	b.eachFull("fairness", func(name string, l *lab.Lab, d *lab.Daemon) {
		d.Bus = systemBus(l, b.options.root)
		must(d.Start())
		own := got(lab.New())
		defer own.Close()
		alone := own.NewDaemon(d.Program)
		must(alone.Start())
		sockets := []string{d.Socket, alone.Socket}
		before := b.quietUser(sockets)
		for _, others := range []struct {
			who   string
			start func() (stop func())
		}{
			{besideClients, func() func() { return b.startCrowd(l, d) }},
			{besideMoves, func() func() { return startAttackers(l, attackers, filepath.Dir(d.Socket)) }},
		} {
			b.progress("fairness beside " + others.who)
			took := func() []series {
				defer others.start()()
				return b.quietUser(sockets)
			}()
			for _, q := range quietQuantiles {
				for i, at := range []string{"", ownServer} {
					b.results.add(name, quietBeside(others.who, q)+at, "", float64(took[i].quantile(q))/float64(before[i].quantile(q)))
				}
			}
		}
	})
}

// quietBeside names a figure: how many times as long a quiet user waits.
func quietBeside(others string, q float64) string {
	return fmt.Sprintf("RETRIEVE beside %s, times as long: %g %%", others, 100*q)
}

// quietUser measures RETRIEVE for a while, over a connection to each socket.
func (b *bench) quietUser(sockets []string) []series {
	took := make([]series, len(sockets))
	cache, server := strconv.Itoa(quietUID), service(0)
	var clients []*client.Client
	for _, socket := range sockets {
		c := client.New(got(lab.DialAs(quietUID, socket, answerPatience)))
		defer c.Close()
		must(c.Replace(cache, 0, alice, tickets(1)))
		clients = append(clients, c)
	}
	match := &ccache.Match{Client: &alice, Server: &server, EndTime: began}
	for end := time.Now().Add(b.options.quietTime); time.Now().Before(end); {
		for i, c := range clients {
			time.Sleep(time.Millisecond)
			start := time.Now()
			got(c.Retrieve(cache, match))
			took[i] = append(took[i], time.Since(start))
		}
	}
	return took
}

// startCrowd has clients of another user look for tickets, list them and store them
// without a pause.
func (b *bench) startCrowd(l *lab.Lab, d *lab.Daemon) (stop func()) {
	p := b.newPeer("crowd", kindOf("kcmd-full"))
	p.socket = d.Socket
	b.caches(p, "KCM:", fmt.Sprintf("KCM:%d", crowdUID))
	storeAsOwner(crowdUID, p, b.options.crowd)
	var crowd []*driver
	for i := range crowdOfUser {
		one := startDriver(crowdUID, l, b.driver, i)
		one.place(p)
		crowd = append(crowd, one)
		must(one.send("step", p, []string{"retrieve", "iterate", "again"}[i%3], b.options.crowd, maxCount, time.Hour.Milliseconds()))
	}
	return func() {
		for _, one := range crowd {
			kill(one.cmd)
		}
	}
}

// startAttackers starts the hostile moves against the daemon of a directory. They yield
// the processors to others.
func startAttackers(l *lab.Lab, program, dir string) (stop func()) {
	cmd := exec.Command("nice", "-n", "19", program, "-test.run", "^TestAttackers$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), "LAB_ATTACK="+dir, "TMPDIR="+l.Dir)
	must(lab.Start(cmd))
	return func() { kill(cmd) }
}

// kill ends a process. It is an error if it had ended before.
func kill(cmd *exec.Cmd) {
	_ = cmd.Process.Kill() // Wait says whether it had
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		must(fmt.Errorf("%s ended: %v", cmd.Args[0], cmd.ProcessState))
	}
}
