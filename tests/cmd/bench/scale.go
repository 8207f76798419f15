package main

import (
	"fmt"
	"os"
	"strconv"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

const (
	ticketsEach = 10  // of each stored user, in one cache
	activeUsers = 100 // who then read their tickets
	starts      = 5   // of the daemon
)

// scale measures kcmd with many users stored.
func (b *bench) scale() error {
	if os.Getuid() != 0 {
		b.note("scale: only root can store for other users")
		return nil
	}
	for _, n := range b.options.stored {
		for _, name := range b.peerNames() {
			if findKind(name).name != "kcmd-full" {
				continue
			}
			s := &stored{bench: b, peer: name, users: n}
			b.addFailure(name, s.title("all of it"), withLab(s.measure))
		}
	}
	return nil
}

func withLab(f func(*lab.Lab) error) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	return f(l)
}

// Stored is a kcmd with the tickets of many users.
type stored struct {
	*bench
	peer  string
	users int
}

// title names a figure.
func (s *stored) title(what string) string { return thousands(s.users) + " users: " + what }

const (
	firstAnswer = "start to first answer"
	memoryThen  = "memory after that"
)

func (s *stored) measure(l *lab.Lab) error {
	d := l.NewDaemon(s.program(s.peer))
	s.progress(fmt.Sprintf("storing for %d users", s.users))
	if err := s.fill(d); err != nil {
		return err
	}
	info, err := os.Stat(d.Database)
	if err != nil {
		return err
	}
	s.add(s.peer, s.title("database"), "bytes", float64(info.Size()))
	s.progress(fmt.Sprintf("with %d users stored", s.users))
	if err := s.restart(d); err != nil {
		return err
	}
	for i := range activeUsers {
		if err := ask(scaleUID(i+1), d.Socket, scaleCache(i+1)); err != nil {
			return err
		}
	}
	return s.addMemory(s.peer, s.title(fmt.Sprintf("memory with %d active users", activeUsers)), d.PID())
}

// fill stores for the users, and stops the daemon.
func (s *stored) fill(d *lab.Daemon) error {
	if err := d.Start(append([]string{"--synchronous=normal"}, noLimits...)...); err != nil {
		return err
	}
	for i := range s.users {
		if err := replaceAs(d.Socket, scaleUID(i), scaleCache(i), ticketsEach); err != nil {
			return err
		}
	}
	return d.Stop()
}

// scaleUID returns the uid of a stored user. The first is our own.
func scaleUID(i int) int {
	if i == 0 {
		return os.Getuid()
	}
	return firstUID + i
}

func scaleCache(i int) string {
	if i == 0 {
		return kcmCache
	}
	return strconv.Itoa(scaleUID(i))
}

// restart starts a daemon several times and leaves it running.
func (s *stored) restart(d *lab.Daemon) error {
	took, err := startOften(d, func() error { return ask(os.Getuid(), d.Socket, scaleCache(0)) })
	if err != nil {
		return err
	}
	s.add(s.peer, s.title(firstAnswer), "us", microseconds(took.median()))
	return s.addMemory(s.peer, s.title(memoryThen), d.PID())
}

// startOften starts a daemon several times, each time until something is done, and
// leaves it running.
func startOften(d *lab.Daemon, until func() error) (took series, err error) {
	for i := range starts {
		if i > 0 {
			if err := d.Stop(); err != nil {
				return nil, err
			}
		}
		start := time.Now()
		if err := d.Start(noLimits...); err != nil {
			return nil, err
		}
		if err := until(); err != nil {
			return nil, err
		}
		took = append(took, time.Since(start))
	}
	return took, nil
}

// ask has a user read the tickets of a cache.
func ask(uid int, socket, cache string) error {
	return asUser(uid, socket, func(c *client.Client) error {
		list, err := c.GetCredList(cache)
		if err == nil && len(list) < ticketsEach {
			err = fmt.Errorf("user %d has %d tickets", uid, len(list))
		}
		return err
	})
}

// replaceAs fills a cache of a user, as far as possible in one request.
func replaceAs(socket string, uid int, cache string, n int) error {
	const most = 6000 // in the 10 MiB of a request
	return asUser(uid, socket, func(c *client.Client) error {
		err := c.Replace(cache, 0, alice, tickets(min(n, most)))
		for i := most; i < n && err == nil; i++ {
			err = c.Store(cache, ticket(i))
		}
		return err
	})
}
