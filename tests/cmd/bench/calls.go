package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

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
	{name: "open", about: "open a cache and get its principal, as every program does first"},
	{name: "retrieve", about: "find a ticket"},
	{name: "miss", about: "look for a ticket that is not in the cache"},
	{name: "iterate", about: "get all tickets"},
	{name: "collection", about: "list 10 caches, as klist -l does", collection: true},
	{name: "switch", about: "make another cache the default", collection: true},
	{name: "replace", about: "replace another cache by three tickets, as kinit does"},
	{name: "destroy", about: "destroy another cache of three tickets"},
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

// Sizes of tickets in bytes: usual, and with the groups of a user of a large Active
// Directory.
const (
	usualSize = 1200
	bigSize   = 50 << 10
)

const (
	otherCaches = 9    // caches besides the measured one
	maxCount    = 2000 // of a step in one turn
)

// usual are the circumstances of one client with so many tickets.
func usual(tickets int) circumstances {
	return circumstances{Tickets: tickets, Bytes: usualSize, Clients: 1}
}

// calls measures one client.
func (b *bench) calls() error {
	for _, n := range b.options.tickets {
		if err := b.measure(usual(n), b.options.steps(stepNames()...)); err != nil {
			return err
		}
	}
	for _, n := range b.options.bigTickets {
		c := usual(n)
		c.Bytes = bigSize
		if err := b.measure(c, b.options.steps("retrieve", "iterate", "replace", "store")); err != nil {
			return err
		}
	}
	return nil
}

// crowdTickets is the number of tickets where several clients are measured.
func (o *options) crowdTickets() int {
	if slices.Contains(o.tickets, 300) {
		return 300
	}
	return o.tickets[0]
}

// manyClients measures several clients at once, of one user, in one cache.
func (b *bench) manyClients() error {
	for _, n := range append([]int{1}, b.options.clients...) {
		c := usual(b.options.crowdTickets())
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
		if err := b.measure(c, b.options.steps("open", "retrieve", "collection", "store")); err != nil {
			return err
		}
	}
	return nil
}

const (
	firstUID      = 20_000 // of the other users
	othersTickets = 2      // of each of them
	othersAtOnce  = 8
)

// storeOthers has other users store tickets until n have, or time is up.
func (b *bench) storeOthers(p *peer, n int) error {
	deadline := time.Now().Add(b.options.fillBudget)
	var next, done atomic.Int64
	next.Store(int64(p.others))
	errs := make(chan error, othersAtOnce)
	var all sync.WaitGroup
	for range othersAtOnce {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && time.Now().Before(deadline); i = int(next.Add(1)) - 1 {
				if err := b.storeOther(p, firstUID+i); err != nil {
					errs <- err
					return
				}
				done.Add(1)
			}
		})
	}
	all.Wait()
	close(errs)
	p.others += int(done.Load())
	if p.others < n {
		b.note(fmt.Sprintf("%s: too slow to store for more than %d of %d other users", p.name, p.others, n))
	}
	return <-errs
}

func (b *bench) storeOther(p *peer, uid int) error {
	return asUser(uid, p.socket, func(c *client.Client) error {
		name := strconv.Itoa(uid)
		err := c.Initialize(name, alice)
		for i := 0; i < othersTickets && err == nil; i++ {
			err = c.Store(name, ticket(i, usualSize))
		}
		return err
	})
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
	clients, err := b.clients(c)
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
		if p.failure == nil {
			p.failure = clearUp(p, clients)
		}
	}
	return nil
}

// clients returns clients whose tickets have the right size.
func (b *bench) clients(c circumstances) ([]*driver, error) {
	for len(b.drivers) < c.Clients {
		d, err := startDriver(b.lab, b.driver, len(b.drivers))
		if err != nil {
			return nil, err
		}
		b.drivers = append(b.drivers, d)
	}
	list := b.drivers[:c.Clients]
	for _, d := range list {
		if err := d.do("client", strconv.Itoa(d.number), strconv.Itoa(c.Bytes)); err != nil {
			return nil, err
		}
	}
	return list, nil
}

// prepare fills the cache of a peer, and makes its other caches.
func (b *bench) prepare(c circumstances, p *peer, clients []*driver) error {
	for i, d := range clients {
		if err := d.place(p); err != nil {
			return err
		}
		if err := d.fill(p, c.Tickets, i > 0, b.fillBudget(p)); err != nil {
			return err
		}
	}
	if !p.collects {
		return nil
	}
	return clients[0].do("caches", strconv.Itoa(p.place), strconv.Itoa(otherCaches))
}

// fillBudget is how long it may take to fill a cache. kcmd is never left out.
func (b *bench) fillBudget(p *peer) time.Duration {
	if p.isKcmd {
		return answerPatience
	}
	return b.options.fillBudget
}

// clearUp destroys the caches of prepare.
func clearUp(p *peer, clients []*driver) error {
	for i, d := range clients {
		if !d.placed[p] || i > 0 && !p.private {
			continue
		}
		if err := d.do("clear", strconv.Itoa(p.place), strconv.Itoa(otherCaches)); err != nil {
			return fmt.Errorf("cannot clear up: %w", err)
		}
	}
	return nil
}

// measureStep measures a step of all peers.
func (b *bench) measureStep(c circumstances, st step, clients []*driver, unprepared map[*peer]error) {
	var list []*result
	for _, p := range b.peers {
		r := b.results.begin(key{c, st.name, p.name})
		r.Failure = failed(errors.Join(unprepared[p], p.failure))
		if r.Failure.error == nil {
			r.Failure = failed(possible(c, st, p, clients))
		}
		list = append(list, r)
	}
	rounds := b.options.rounds
	if c.Clients > 1 {
		rounds = max(rounds/4, 2) // longer ones, in which clients and server meet in all ways
	}
	b.rounds(rounds, list, func(p *peer, r *result) error { return b.turn(st, p, r, clients) })
	for _, r := range list {
		if p := b.peer(r.Peer); p.pid != 0 && r.Failure.error == nil {
			r.Memory, _ = memoryOf(p.pid) // 0 if it has ended
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
	request, reply, ok := exchanged(st.name, c.Tickets, c.Bytes)
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
		if err := clients[0].fill(p, r.Tickets, false, b.fillBudget(p)); err != nil {
			return err
		}
		count = 16 + r.Tickets/8
	}
	processor := processorOf(len(r.Turns))
	if len(clients) > 1 {
		processor = anyProcessor // they have to compete
	}
	free, err := bind(p.pid, processor)
	if err != nil {
		return err
	}
	// Several clients do not begin at once.
	moment := b.options.slice * time.Duration(min(len(clients), 8))
	took, err := together(clients, p, st.name, count, moment, processor)
	r.add(took)
	return errors.Join(err, free())
}

// together has all clients do a step at once, and returns all measurements.
func together(clients []*driver, p *peer, step string, count int, moment time.Duration, processor int) (took series, err error) {
	for _, d := range clients {
		if err := d.step(p, step, count, moment, processor); err != nil {
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

// ticket returns alice's ticket for a service, of that many bytes without its
// metadata.
func ticket(n, size int) *ccache.Credential {
	return &ccache.Credential{
		Client: alice, Server: service(n), Key: ccache.Key{Type: 18, Value: make([]byte, 32)},
		AuthTime: began, StartTime: began, EndTime: began + 8*3600,
		Flags: ccache.FlagForwardable, Ticket: make([]byte, size),
	}
}

func tickets(n int) []*ccache.Credential {
	list := make([]*ccache.Credential, n)
	for i := range list {
		list[i] = ticket(i, usualSize)
	}
	return list
}

// exchanged returns the bytes that the main request of a step sends and receives,
// with all headers. It returns false for a step of several requests.
func exchanged(step string, tickets, size int) (request, reply int, ok bool) {
	cache, one := len(kcm.AppendName(nil, kcmCache)), len(ticket(0, size).Append(nil))
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
	case "switch", "destroy":
		request = cache
	default:
		return 0, 0, false
	}
	const requestHeader = 8
	return requestHeader + request, kcm.ReplyHeaderLen + reply, true
}
