package main

import (
	"errors"
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
func (b *bench) fairness() error {
	if os.Getuid() != 0 {
		b.note("fairness: only root can be several users")
		return nil
	}
	attackers := b.lab.Path("attackers")
	build := exec.Command("go", "test", "-c", "-o", attackers, "./tests/system")
	build.Dir = b.options.root
	if err := lab.Run(build); err != nil {
		return fmt.Errorf("cannot build the hostile moves: %w", err)
	}
	for _, name := range b.peerNames() {
		if findKind(name).name != "kcmd-full" {
			continue
		}
		b.addFailure(name, "fairness", withLab(func(l *lab.Lab) error {
			return withLab(func(own *lab.Lab) error { return b.measureFairness(l, own, name, attackers) })
		}))
	}
	return nil
}

// measureFairness measures a kcmd in a lab, and another one, for the quiet user alone.
func (b *bench) measureFairness(l, own *lab.Lab, name, attackers string) error {
	d, alone := l.NewDaemon(b.program(name)), own.NewDaemon(b.program(name))
	var err error
	if d.Bus, err = systemBus(l, b.options.root); err != nil {
		return err
	}
	if err := errors.Join(d.Start(), alone.Start()); err != nil {
		return err
	}
	sockets := []string{d.Socket, alone.Socket}
	before, err := b.quietUser(sockets)
	if err != nil {
		return err
	}
	beside := func(others string, start func() (stop func() error, err error)) error {
		b.progress("fairness: " + others)
		stop, err := start()
		if err != nil {
			return err
		}
		took, err := b.quietUser(sockets)
		if err := errors.Join(err, stop()); err != nil {
			return err
		}
		for _, q := range quietQuantiles {
			for i, at := range []string{"", ownServer} {
				ratio := float64(took[i].quantile(q)) / float64(before[i].quantile(q))
				b.add(name, quietBeside(others, q)+at, "", ratio)
			}
		}
		return nil
	}
	return errors.Join(
		beside(besideClients, func() (func() error, error) { return b.startCrowd(l, d) }),
		beside(besideMoves, func() (func() error, error) { return startAttackers(l, attackers, filepath.Dir(d.Socket)) }))
}

// quietBeside names a figure: how many times as long a quiet user waits.
func quietBeside(others string, q float64) string {
	return fmt.Sprintf("RETRIEVE beside %s, times as long: %g %%", others, 100*q)
}

// quietUser measures RETRIEVE for a while, over a connection to each socket.
func (b *bench) quietUser(sockets []string) ([]series, error) {
	took := make([]series, len(sockets))
	cache, server := strconv.Itoa(quietUID), service(0)
	var clients []*client.Client
	for _, socket := range sockets {
		conn, err := lab.DialAs(quietUID, socket, answerPatience)
		if err != nil {
			return nil, err
		}
		c := client.New(conn)
		defer c.Close()
		if err := c.Replace(cache, 0, alice, tickets(1)); err != nil {
			return nil, err
		}
		clients = append(clients, c)
	}
	match := &ccache.Match{Client: &alice, Server: &server, EndTime: began}
	for end := time.Now().Add(b.options.quietTime); time.Now().Before(end); {
		for i, c := range clients {
			time.Sleep(time.Millisecond)
			start := time.Now()
			if _, err := c.Retrieve(cache, match); err != nil {
				return nil, err
			}
			took[i] = append(took[i], time.Since(start))
		}
	}
	return took, nil
}

// startCrowd has clients of another user look for tickets, list them and store them
// without a pause.
func (b *bench) startCrowd(l *lab.Lab, d *lab.Daemon) (stop func() error, err error) {
	p := b.newPeer("crowd")
	p.socket = d.Socket
	if err := b.caches(p, "KCM:", fmt.Sprintf("KCM:%d", crowdUID)); err != nil {
		return nil, err
	}
	if err := replaceAs(d.Socket, crowdUID, strconv.Itoa(crowdUID), b.options.crowd); err != nil {
		return nil, err
	}
	long := strconv.FormatInt(time.Hour.Milliseconds(), 10)
	var crowd []*driver
	stop = func() (err error) {
		for _, one := range crowd {
			err = errors.Join(err, kill(one.cmd))
		}
		return err
	}
	for i := range crowdOfUser {
		one, err := startDriverAs(crowdUID, l, b.driver, i)
		if err != nil {
			return nil, errors.Join(err, stop())
		}
		crowd = append(crowd, one)
		err = errors.Join(one.place(p), one.fill(p, b.options.crowd, true, 0),
			one.send("step", strconv.Itoa(p.place), []string{"retrieve", "iterate", "again"}[i%3], "1000000000", long, strconv.Itoa(anyProcessor)))
		if err != nil {
			return nil, errors.Join(err, stop())
		}
	}
	return stop, nil
}

// startAttackers starts the hostile moves against the daemon of a directory. They yield
// the processors to others.
func startAttackers(l *lab.Lab, program, dir string) (stop func() error, err error) {
	cmd := exec.Command("nice", "-n", "19", program, "-test.run", "^TestAttackers$", "-test.timeout", "0")
	cmd.Env = append(os.Environ(), "LAB_ATTACK="+dir, "TMPDIR="+l.Dir)
	if err := lab.Start(cmd); err != nil {
		return nil, err
	}
	return func() error { return kill(cmd) }, nil
}

// kill ends a process. It is an error if it had ended before.
func kill(cmd *exec.Cmd) error {
	_ = cmd.Process.Kill() // Wait says whether it had
	_ = cmd.Wait()
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); !ok || !status.Signaled() {
		return fmt.Errorf("%s ended: %v", cmd.Args[0], cmd.ProcessState)
	}
	return nil
}
