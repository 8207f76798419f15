package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// A step is something that programs do with a credential cache. driver/steps.c
// has the calls.
type step struct {
	name, about string
	collection  bool // needs several caches
	changes     bool // changes the measured cache
}

var steps = []step{
	{name: "retrieve", about: "find a ticket"},
	{name: "miss", about: "look for a ticket that is not in the cache"},
	{name: "iterate", about: "get all tickets"},
	{name: "collection", about: "list 10 caches, as klist -l does", collection: true},
	{name: "replace", about: "replace another cache by three tickets, as kinit does"},
	{name: "store", about: "store a new ticket; remove it, unmeasured, where the type can", changes: true},
	{name: "again", about: "store a ticket that is in the cache", changes: true},
}

func stepNames() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

const (
	ticketSize  = 1200 // in bytes, as in driver.h
	otherCaches = 9    // caches besides the measured one
	maxCount    = 2000 // of a step in one turn
)

// usual are the circumstances of one client with so many tickets.
func usual(tickets int) circumstances {
	return circumstances{Tickets: tickets, Clients: 1}
}

// calls measures one client.
func (b *bench) calls() error {
	for _, n := range b.options.tickets {
		if err := b.measure(usual(n), b.options.steps(stepNames()...)); err != nil {
			return err
		}
	}
	return nil
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
		if p.failure == nil && !p.isEcho() {
			unprepared[p] = b.prepare(c, p, clients)
		}
	}
	for _, st := range list {
		b.progress(fmt.Sprintf("%v: %s", c, st.name))
		b.measureStep(c, st, clients, unprepared)
	}
	for _, p := range b.peers {
		if p.pid != 0 && p.failure == nil && !p.isEcho() {
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

// measureStep measures a step of all peers.
func (b *bench) measureStep(c circumstances, st step, clients []*driver, unprepared map[*peer]error) {
	var list []*result
	for _, p := range b.peers {
		r := &result{key: key{c, st.name, p.name}}
		b.results = append(b.results, r)
		r.failure = errors.Join(unprepared[p], p.failure)
		if r.failure == nil {
			r.failure = possible(c, st, p, clients)
		}
		list = append(list, r)
	}
	rounds := b.options.rounds
	if c.Clients > 1 {
		rounds = max(rounds/4, 2) // longer ones, in which clients and server meet in all ways
	}
	used := make(map[*result]time.Duration)
	for range rounds {
		for _, r := range list {
			if r.failure != nil || used[r] > b.options.stepBudget {
				continue
			}
			p, start := b.peer(r.Peer), time.Now()
			r.failure = b.turn(st, p, r, clients)
			used[r] += time.Since(start)
			if p.ended != nil && p.failure == nil {
				p.failure = p.ended()
			}
		}
	}
}

// possible returns an error if a peer cannot do a step, and tells clients of the
// echo how many bytes to exchange.
func possible(c circumstances, st step, p *peer, clients []*driver) error {
	if !p.isEcho() {
		if st.collection && !p.collects {
			return fmt.Errorf("%w: this type has one cache", errNot)
		}
		return nil
	}
	request, reply, ok := exchanged(st.name, c.Tickets)
	if !ok {
		return fmt.Errorf("%w: more than one exchange", errNot)
	}
	for _, d := range clients {
		if err := d.do("echo", strconv.Itoa(p.place), p.socket, strconv.Itoa(request), strconv.Itoa(reply)); err != nil {
			return err
		}
	}
	return nil
}

// turn has all clients do a step at once, for a moment.
func (b *bench) turn(st step, p *peer, r *result, clients []*driver) error {
	count := maxCount
	if st.changes && p.tombstones {
		if err := clients[0].fill(p, r.Tickets, false, b.options.fillBudget); err != nil {
			return err
		}
		count = 16 + r.Tickets/8
	}
	processor := processorOf(len(r.Turns))
	if len(clients) > 1 {
		processor = anyProcessor // they have to compete
	}
	if err := bind(p.pid, processor); err != nil {
		return err
	}
	// Several clients do not begin at once.
	moment := b.options.slice * time.Duration(min(len(clients), 8))
	took, err := together(clients, p, st.name, count, moment, processor)
	r.add(took)
	return err
}

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

// exchanged returns the bytes that the main request of a step sends and receives,
// with all headers. It returns false for a step of several requests.
func exchanged(step string, tickets int) (request, reply int, ok bool) {
	cache, one := len(kcm.AppendName(nil, kcmCache)), len(ticket(0).Append(nil))
	server := service(0)
	match := ccache.Match{Client: &alice, Server: &server, EndTime: began}
	lookUp := cache + 4 + len(match.Append(nil))
	switch step {
	case "retrieve":
		request, reply = lookUp, one
	case "miss":
		request = lookUp
	case "iterate":
		request, reply = cache, 4+tickets*(4+one)
	case "store", "again":
		request = cache + one
	case "replace":
		request = len(alice.Append(binary.BigEndian.AppendUint32(nil, 0))) + cache + 4 + 3*(4+one)
	default:
		return 0, 0, false
	}
	const requestHeader = 8
	return requestHeader + request, kcm.ReplyHeaderLen + reply, true
}

// Whether client and server share a processor makes a larger difference than the
// differences that the bench measures, and the scheduler keeps them as they are.
// So in every second turn both are bound to one processor, another one each time,
// and in the other turns to none.

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
