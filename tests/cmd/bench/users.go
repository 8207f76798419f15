package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

const (
	firstUID      = 100_000 // of the other users: none of them is the overflow uid 65534
	othersTickets = 2       // of each, beside a user that is measured
	ticketsEach   = 10      // of each stored user, in one cache
	activeUsers   = 100     // who then read their tickets
	memoryUsers   = 1000    // in the part memory
	starts        = 5       // of the daemon
)

// manyUsers measures one user while others have stored tickets.
func (b *bench) manyUsers() {
	for _, n := range b.options.users {
		for _, p := range b.peers {
			if p.has(isKCM) && p.failure == nil {
				b.progress(fmt.Sprintf("storing for %d other users: %s", n, p.name))
				p.failure = attempt(func() { b.storeOthers(p, n) })
			}
		}
		b.measure(usual(b.options.tickets[0]).beside(n), "retrieve", "collection", "store")
	}
}

// storeOthers has other users store tickets until n have, or time is up.
func (b *bench) storeOthers(p *peer, n int) {
	deadline := time.Now().Add(b.options.fillBudget)
	for ; p.others < n; p.others++ {
		if !p.isKcmd() && time.Now().After(deadline) {
			b.note("%s: too slow to store for more than %d of %d other users", p.name, p.others, n)
			return
		}
		storeAsOwner(firstUID+p.others, p, othersTickets)
	}
}

// Figures of the parts scale and memory.
const (
	firstAnswer = "start to first answer"
	memoryThen  = "memory after that"
	binarySize  = "size of the program"
	startTime   = "start of an empty daemon"
	idleMemory  = "memory of an empty daemon"
	userMemory  = "memory of an active user with 10 tickets"
	burstMemory = "memory after 64 clients at once listed 300 tickets"
)

var memoryActive = fmt.Sprintf("memory with %d active users", activeUsers)

// scale measures kcmd with many users stored.
func (b *bench) scale() {
	for _, n := range b.options.stored {
		title := func(what string) string { return thousands(n) + " users: " + what }
		b.eachFull(title("all of it"), func(name string, _ *lab.Lab, d *lab.Daemon) {
			storeUsers(d, n)
			b.addSize(name, title("database"), d.Database)
			b.startOften(name, title(firstAnswer), d, func() { askFirst(d, 1) })
			b.results.add(name, title(memoryThen), "bytes", memoryOf(d.PID()))
			askFirst(d, activeUsers)
			b.results.add(name, title(memoryActive), "bytes", memoryOf(d.PID()))
		})
	}
}

// memory measures what a daemon takes at rest: empty, for active users, and after many
// clients at once.
func (b *bench) memory() {
	b.eachFull("memory", func(name string, _ *lab.Lab, d *lab.Daemon) {
		b.addSize(name, binarySize, d.Program)
		b.startOften(name, startTime, d, func() {})
		idle := atRest(d)
		b.results.add(name, idleMemory, "bytes", idle)
		must(d.Stop())
		storeUsers(d, memoryUsers)
		must(d.Start(noLimits...))
		askFirst(d, memoryUsers)
		b.results.add(name, userMemory, "bytes", (atRest(d)-idle)/memoryUsers)
		listAtOnce(d)
		b.results.add(name, burstMemory, "bytes", atRest(d))
	})
}

// eachFull measures each kcmd with its defaults, with a daemon that is not started.
func (b *bench) eachFull(what string, measure func(name string, l *lab.Lab, d *lab.Daemon)) {
	for _, name := range b.peerNames() {
		if kindOf(name).name == "kcmd-full" {
			b.withLab(name, what, func(l *lab.Lab) { measure(name, l, l.NewDaemon(b.program(name))) })
		}
	}
}

func (b *bench) addSize(name, what, path string) {
	b.results.add(name, what, "bytes", float64(got(os.Stat(path)).Size()))
}

// startOften measures several starts of a daemon, each until something is done, and
// leaves it running.
func (b *bench) startOften(name, what string, d *lab.Daemon, until func()) {
	var took series
	for i := range starts {
		if i > 0 {
			must(d.Stop())
		}
		start := time.Now()
		must(d.Start(noLimits...))
		until()
		took = append(took, time.Since(start))
	}
	b.results.add(name, what, "us", microseconds(took.median()))
}

// storeUsers stores for so many users, and stops the daemon.
func storeUsers(d *lab.Daemon, n int) {
	must(d.Start(append([]string{"--synchronous=normal"}, noLimits...)...))
	for i := range n {
		storeAsOwner(firstUID+i, kcmdAt(d), ticketsEach)
	}
	must(d.Stop())
}

// kcmdAt is the peer of a daemon without drivers.
func kcmdAt(d *lab.Daemon) *peer { return &peer{kind: kindOf("kcmd-full"), socket: d.Socket} }

// askFirst has the first stored users read their tickets.
func askFirst(d *lab.Daemon, users int) {
	for i := range users {
		must(listAs(firstUID+i, d.Socket, ticketsEach, 1))
	}
}

// listAtOnce has many clients of one user list tickets.
func listAtOnce(d *lab.Daemon) {
	const clients, listings, listed = 64, 20, 300
	storeAsOwner(firstUID, kcmdAt(d), listed)
	failed := make(chan error)
	for range clients {
		go func() { failed <- listAs(firstUID, d.Socket, listed, listings) }()
	}
	var err error
	for range clients {
		err = errors.Join(err, <-failed)
	}
	must(err)
}

// atRest returns the memory of a daemon once that has not become less for longer than
// kcmd takes to give memory back, or after a while.
func atRest(d *lab.Daemon) (least float64) {
	const settled, most = 7 * time.Second, 30 * time.Second
	begin := time.Now()
	for since := begin; time.Since(since) < settled && time.Since(begin) < most; time.Sleep(100 * time.Millisecond) {
		if now := memoryOf(d.PID()); least == 0 || now < least {
			least, since = now, time.Now()
		}
	}
	return least
}

// asUser calls f with a client that has connected as a user.
func asUser(uid int, socket string, f func(*client.Client) error) error {
	conn, err := lab.DialAs(uid, socket, answerPatience)
	if err != nil {
		return err
	}
	c := client.New(conn)
	defer c.Close()
	return f(c)
}

// listAs has a user list the tickets of the default cache several times.
func listAs(uid int, socket string, tickets, times int) error {
	return asUser(uid, socket, func(c *client.Client) error {
		for range times {
			if list, err := c.GetCredList(strconv.Itoa(uid)); err != nil || len(list) != tickets {
				return fmt.Errorf("user %d has %d tickets, want %d: %w", uid, len(list), tickets, err)
			}
		}
		return nil
	})
}

// storeAsOwner fills the default cache of a user.
func storeAsOwner(uid int, p *peer, tickets int) {
	must(storeAs(uid, p, strconv.Itoa(uid), tickets))
}

// storeAs fills a cache of a user, of kcmd as far as possible in one request.
func storeAs(uid int, p *peer, cache string, n int) error {
	return asUser(uid, p.socket, func(c *client.Client) (err error) {
		at := 0
		if p.isKcmd() {
			at = min(n, 6000) // in the 10 MiB of a request
			err = c.Replace(cache, 0, alice, tickets(at))
		} else {
			err = c.Initialize(cache, alice)
		}
		for ; at < n && err == nil; at++ {
			err = c.Store(cache, ticket(at))
		}
		return err
	})
}

// Tickets as the driver makes them: the echo exchanges as many bytes.

var (
	alice = ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{"alice"}}
	began = uint32(time.Now().Unix())
)

// service returns a service. All names have one length.
func service(n int) ccache.Principal {
	return ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{"host", fmt.Sprintf("n%06d.kcmd.test", n)}}
}

// ticket returns alice's ticket for a service.
func ticket(n int) *ccache.Credential {
	return &ccache.Credential{
		Client: alice, Server: service(n), Key: ccache.Key{Type: 18, Value: make([]byte, 32)},
		AuthTime: began, StartTime: began, EndTime: began + 8*3600,
		Flags: ccache.FlagForwardable, Ticket: make([]byte, 1200),
	}
}

func tickets(n int) (list []*ccache.Credential) {
	for i := range n {
		list = append(list, ticket(i))
	}
	return list
}
