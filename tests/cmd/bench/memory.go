package main

import (
	"fmt"
	"os"
	"sync"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// Figures of the part memory.
const (
	binarySize  = "size of the program"
	startTime   = "start of an empty daemon"
	idleMemory  = "memory of an empty daemon"
	userMemory  = "memory of an active user with 10 tickets"
	burstMemory = "memory after 64 clients at once listed 300 tickets"
)

const memoryUsers = 1000

// memory measures what a daemon takes at rest: empty, for active users, and after many
// clients at once.
func (b *bench) memory() error {
	if os.Getuid() != 0 {
		b.note("memory: only root can store for other users")
		return nil
	}
	for _, name := range b.peerNames() {
		if findKind(name).name != "kcmd-full" {
			continue
		}
		b.progress("memory of " + name)
		b.addFailure(name, "memory", withLab(func(l *lab.Lab) error { return b.measureMemory(l, name) }))
	}
	return nil
}

func (b *bench) measureMemory(l *lab.Lab, name string) error {
	d := l.NewDaemon(b.program(name))
	info, err := os.Stat(d.Program)
	if err != nil {
		return err
	}
	b.add(name, binarySize, "bytes", float64(info.Size()))
	took, err := startOften(d, func() error { return nil })
	if err != nil {
		return err
	}
	b.add(name, startTime, "us", microseconds(took.median()))
	idle, err := atRest(d.PID())
	if err != nil {
		return err
	}
	b.add(name, idleMemory, "bytes", float64(idle))

	s := &stored{bench: b, peer: name, users: memoryUsers}
	if err := d.Stop(); err != nil {
		return err
	}
	if err := s.fill(d); err != nil {
		return err
	}
	if err := d.Start(noLimits...); err != nil {
		return err
	}
	for i := range memoryUsers {
		if err := ask(scaleUID(i), d.Socket, scaleCache(i)); err != nil {
			return err
		}
	}
	active, err := atRest(d.PID())
	if err != nil {
		return err
	}
	b.add(name, userMemory, "bytes", float64(active-idle)/memoryUsers)
	return b.afterBurst(d, name)
}

// afterBurst measures a daemon after many clients of one user.
func (b *bench) afterBurst(d *lab.Daemon, name string) error {
	const clients, listings, listed = 64, 20, 300
	uid := os.Getuid()
	if err := replaceAs(d.Socket, uid, kcmCache, listed); err != nil {
		return err
	}
	failed := make(chan error, clients)
	var all sync.WaitGroup
	for range clients {
		all.Go(func() {
			failed <- asUser(uid, d.Socket, func(c *client.Client) error {
				for range listings {
					if list, err := c.GetCredList(kcmCache); err != nil || len(list) != listed {
						return fmt.Errorf("%d tickets, %w", len(list), err)
					}
				}
				return nil
			})
		})
	}
	all.Wait()
	for range clients {
		if err := <-failed; err != nil {
			return err
		}
	}
	after, err := atRest(d.PID())
	b.add(name, burstMemory, "bytes", float64(after))
	return err
}

// atRest returns the memory of a process once that has not become less for longer than
// kcmd takes to give memory back, or after a while.
func atRest(pid int) (least int64, err error) {
	const settled, most = 7 * time.Second, 30 * time.Second
	begin := time.Now()
	for since := begin; time.Since(since) < settled && time.Since(begin) < most; time.Sleep(100 * time.Millisecond) {
		now, err := memoryOf(pid)
		if err != nil {
			return 0, err
		}
		if least == 0 || now < least {
			least, since = now, time.Now()
		}
	}
	return least, nil
}
