package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// A step is something that programs do with a credential cache. driver/steps.c
// has the calls.
type step struct {
	name, about string
	collection  bool // needs several caches
	changes     bool // changes the measured cache
	command     bool // is a whole program
}

var steps = []step{
	{name: "retrieve", about: "find a ticket"},
	{name: "miss", about: "look for a ticket that is not in the cache"},
	{name: "principal", about: "get the principal of the cache"},
	{name: "iterate", about: "get all tickets"},
	{name: "collection", about: "list 10 caches, as klist -l does", collection: true},
	{name: "replace", about: "replace another cache by three tickets, as kinit does"},
	{name: "store", about: "store a new ticket; remove it, unmeasured, where the type can", changes: true},
	{name: "again", about: "store a ticket that is in the cache", changes: true},
	{name: "kinit", about: "the command, with a keytab, in place of an older TGT", command: true},
	{name: "klist", about: "the command, of two tickets", command: true},
	{name: "kvno", about: "the command, for a ticket that is in the cache", command: true},
	{name: "klist-A", about: "the command, of 50 caches", command: true, collection: true},
}

func stepNames() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

const (
	ticketSize  = 1200   // in bytes, as in driver.h
	otherCaches = 9      // caches besides the measured one
	maxCount    = 20_000 // of a step in one turn
)

// usual are the circumstances of one client with so many tickets.
func usual(tickets int) circumstances {
	return circumstances{Tickets: tickets, Clients: 1}
}

// calls measures one client.
func (b *bench) calls() error {
	for _, n := range b.options.tickets {
		list := slices.DeleteFunc(b.options.steps(stepNames()...), func(s step) bool { return s.command })
		if err := b.measure(usual(n), list); err != nil {
			return err
		}
	}
	return nil
}

// manyCaches are those of klist -A.
const manyCaches = 50

// withCaches are the circumstances of a command.
func withCaches(n int) circumstances { return circumstances{Caches: n, Clients: 1} }

// commands measures whole programs.
func (b *bench) commands() error {
	if err := b.measure(withCaches(1), b.options.steps("kinit", "klist", "kvno")); err != nil {
		return err
	}
	return b.measure(withCaches(manyCaches), b.options.steps("klist-A"))
}

// keytabOf is the path of alice's keytab.
func keytabOf(l *lab.Lab) string { return l.Path("alice.keytab") }

// startRealm starts a realm for the commands.
func (b *bench) startRealm() (err error) {
	if !slices.Contains(b.options.parts, "commands") {
		return nil
	}
	b.progress("starting a KDC")
	if b.realm, err = b.lab.NewRealm(); err != nil {
		return err
	}
	return b.realm.Admin("ktadd -k " + keytabOf(b.lab) + " alice")
}

// manyClients measures several clients at once, of one user, in one cache.
func (b *bench) manyClients() error {
	for _, n := range append([]int{1}, b.options.clients...) {
		c := usual(b.options.crowd)
		c.Clients = n
		if n == 1 && slices.ContainsFunc(b.results, func(r *result) bool { return r.circumstances == c }) {
			continue
		}
		if err := b.measure(c, b.options.steps("retrieve", "miss", "iterate", "store")); err != nil {
			return err
		}
	}
	return nil
}

// manyUsers measures one user while others have stored tickets.
func (b *bench) manyUsers() error {
	if os.Getuid() != 0 {
		b.note("users: only root can store for other users")
		return nil
	}
	for _, n := range b.options.users {
		for _, p := range b.peers {
			if p.isKCM && p.failure == nil {
				b.progress(fmt.Sprintf("storing for %d other users: %s", n, p.name))
				if err := b.storeOthers(p, n); err != nil {
					p.failure = fmt.Errorf("cannot store for other users: %w", err)
				}
			}
		}
		c := usual(b.options.tickets[0])
		c.Users = n
		if err := b.measure(c, b.options.steps("retrieve", "collection", "store")); err != nil {
			return err
		}
	}
	return nil
}

const (
	firstUID      = 20_000 // of the other users
	othersTickets = 2      // of each of them
)

// storeOthers has other users store tickets until n have, or time is up.
func (b *bench) storeOthers(p *peer, n int) error {
	deadline := time.Now().Add(b.options.fillBudget)
	for ; p.others < n; p.others++ {
		if !p.isKcmd && time.Now().After(deadline) {
			b.note(fmt.Sprintf("%s: too slow to store for more than %d of %d other users", p.name, p.others, n))
			return nil
		}
		uid := firstUID + p.others
		if err := asUser(uid, p.socket, func(c *client.Client) error {
			name := strconv.Itoa(uid)
			err := c.Initialize(name, alice)
			for i := 0; i < othersTickets && err == nil; i++ {
				err = c.Store(name, ticket(i))
			}
			return err
		}); err != nil {
			return err
		}
	}
	return nil
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

// measure does steps in some circumstances, with the peers in turn.
func (b *bench) measure(c circumstances, list []step) error {
	if len(list) == 0 {
		return nil
	}
	clients, err := b.clients(c.Clients)
	if err != nil {
		return err
	}
	unprepared := make(map[*peer]error)
	for _, p := range b.peers {
		b.progress(fmt.Sprintf("%v: filling %s", c, p.name))
		unprepared[p] = p.failure
		if p.failure == nil && !p.isCanned {
			unprepared[p] = b.prepare(c, p, clients)
		}
	}
	for _, st := range list {
		b.progress(fmt.Sprintf("%v: %s", c, st.name))
		b.measureStep(c, st, clients, unprepared)
	}
	for _, p := range b.peers {
		if p.isCanned {
			continue
		}
		if p.pid != 0 && p.failure == nil {
			p.failure = b.addMemory(p.name, memoryWith(c), p.pid)
		}
		if clients[0].placed[p] && p.failure == nil {
			p.failure = clients[0].do("clear", strconv.Itoa(p.place))
		}
	}
	return nil
}

// memoryWith names the figure of a server's memory.
func memoryWith(c circumstances) string { return "resident memory after " + c.String() }

// clients returns so many clients.
func (b *bench) clients(n int) ([]*driver, error) {
	for len(b.drivers) < n {
		d, err := startDriver(b.lab, b.driver, len(b.drivers))
		if err != nil {
			return nil, err
		}
		b.drivers = append(b.drivers, d)
	}
	return b.drivers[:n], nil
}

// prepare fills the cache of a peer, and makes its other caches.
func (b *bench) prepare(c circumstances, p *peer, clients []*driver) error {
	if c.Caches > 0 {
		return b.prepareCommands(c, p, clients)
	}
	for i, d := range clients {
		if err := d.place(p); err != nil {
			return err
		}
		there := i > 0
		if p.isKcmd && !there {
			if err := replaceAs(p.socket, os.Getuid(), kcmCache, c.Tickets); err != nil {
				return err
			}
			there = true
		}
		if err := d.fill(p, c.Tickets, there, b.options.fillBudget); err != nil {
			return err
		}
	}
	if !p.collects {
		return nil
	}
	return clients[0].do("caches", strconv.Itoa(p.place), strconv.Itoa(otherCaches))
}

// prepareCommands gets tickets for a peer, and makes its other caches.
func (b *bench) prepareCommands(c circumstances, p *peer, clients []*driver) error {
	if err := clients[0].place(p); err != nil {
		return err
	}
	for _, command := range []string{"kinit", "kvno"} {
		if _, err := together(clients, p, command, 1, answerPatience, anyProcessor); err != nil {
			return err
		}
	}
	if c.Caches == 1 || !p.collects {
		return nil
	}
	return clients[0].do("caches", strconv.Itoa(p.place), strconv.Itoa(c.Caches-1))
}

// measureStep measures a step of all peers.
func (b *bench) measureStep(c circumstances, st step, clients []*driver, unprepared map[*peer]error) {
	var list []*result
	for _, p := range b.peers {
		r := &result{key: key{c, st.name, p.name}}
		b.results = append(b.results, r)
		r.failure = errors.Join(unprepared[p], p.failure)
		if r.failure == nil {
			r.failure = b.possible(c, st, p, clients)
		}
		list = append(list, r)
	}
	rounds := b.options.rounds
	if c.Clients > 1 {
		rounds = max(rounds/4, 2) // longer ones, in which clients and server meet in all ways
	}
	used := make(map[*result]time.Duration)
	for round := range rounds {
		processor := processorOf(round)
		if c.Clients > 1 {
			processor = anyProcessor // they have to compete
		}
		for _, r := range list {
			if r.failure != nil || used[r] > b.options.stepBudget {
				continue
			}
			p, start := b.peer(r.Peer), time.Now()
			r.failure = b.turn(st, p, r, clients, processor)
			used[r] += time.Since(start)
			if p.ended != nil && p.failure == nil {
				p.failure = p.ended()
			}
		}
	}
}

// possible returns an error if a peer cannot do a step.
func (b *bench) possible(c circumstances, st step, p *peer, clients []*driver) error {
	if p.isCanned {
		return b.serveCanned(c, st, p, clients)
	}
	if st.collection && !p.collects {
		return fmt.Errorf("%w: this type has one cache", errNot)
	}
	return nil
}

// turn has all clients do a step at once, for a moment.
func (b *bench) turn(st step, p *peer, r *result, clients []*driver, processor int) error {
	count := maxCount
	if st.changes && p.tombstones {
		if err := clients[0].fill(p, r.Tickets, false, b.options.fillBudget); err != nil {
			return err
		}
		count = 16 + r.Tickets/8
	}
	if err := bind(p.pid, processor); err != nil {
		return err
	}
	moment := b.options.slice
	switch {
	case st.command:
		moment *= commandLonger
		if err := bind(b.realm.KDC.PID(), processor); err != nil {
			return err
		}
	case len(clients) > 1:
		moment *= time.Duration(min(len(clients), 8)) // they do not begin at once
	}
	took, err := together(clients, p, st.name, count, moment, processor)
	r.add(took, processor)
	if !st.changes {
		r.Rate = max(r.Rate, float64(len(took))/moment.Seconds())
	}
	return err
}

// commandLonger is how much longer a turn of a command is than another one.
const commandLonger = 5

// together has all clients do a step at once, and returns all measurements.
func together(clients []*driver, p *peer, step string, count int, moment time.Duration, processor int) (took series, err error) {
	for _, d := range clients {
		if err := d.send("step", strconv.Itoa(p.place), step, strconv.Itoa(count),
			strconv.FormatInt(moment.Milliseconds(), 10), strconv.Itoa(processor)); err != nil {
			return nil, err
		}
	}
	for _, d := range clients {
		got, failed := d.receiveSeries()
		took = append(took, got...)
		err = errors.Join(err, failed)
	}
	return took, err
}

// Tickets as the driver makes them: the echo exchanges as many bytes.

var alice = ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{"alice"}}

// service returns a service. All names have one length.
func service(n int) ccache.Principal {
	return ccache.Principal{NameType: 1, Realm: lab.RealmName, Components: []string{"host", fmt.Sprintf("n%06d.kcmd.test", n)}}
}

var began = uint32(time.Now().Unix())

// ticket returns alice's ticket for a service.
func ticket(n int) *ccache.Credential {
	return &ccache.Credential{
		Client: alice, Server: service(n), Key: ccache.Key{Type: 18, Value: make([]byte, 32)},
		AuthTime: began, StartTime: began, EndTime: began + 8*3600,
		Flags: ccache.FlagForwardable, Ticket: make([]byte, ticketSize),
	}
}

func tickets(n int) []*ccache.Credential {
	list := make([]*ccache.Credential, n)
	for i := range list {
		list[i] = ticket(i)
	}
	return list
}

// Whether client and server share a processor makes a larger difference than the
// differences that the bench measures, and the scheduler keeps them as they are.
// So in every second turn both are bound to one processor, another one each time,
// and in the other turns to none, where the machine has to wake processors up.

const anyProcessor = -1

// processorOf returns the processor of a turn.
func processorOf(turn int) int {
	if turn%2 == 1 {
		return anyProcessor
	}
	return turn / 2 % runtime.NumCPU()
}

// bind binds all threads of a process to one processor, or to those of the bench.
func bind(pid, processor int) error {
	var set, old unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil || pid == 0 {
		return err
	}
	if processor != anyProcessor && set.IsSet(processor) {
		set.Zero()
		set.Set(processor)
	}
	for changed := true; changed; {
		threads, err := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
		if err != nil {
			return err
		}
		changed = false // again after a change: a thread inherits the set of the one that starts it
		for _, t := range threads {
			id, _ := strconv.Atoi(t.Name())
			// A thread that has ended returns an error.
			if unix.SchedGetaffinity(id, &old) == nil && old != set && unix.SchedSetaffinity(id, &set) == nil {
				changed = true
			}
		}
	}
	return nil
}
