package main

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// A scene is steps in one circumstance.
type scene struct {
	circumstances
	steps []step
}

// Sizes of tickets, in bytes: a usual one, and one with the groups of a user of a
// large Active Directory.
const (
	usualSize = 1200
	bigSize   = 50 << 10
)

// errNot is wrapped by the reasons why something cannot be done at all.
var errNot = errors.New("not possible")

// calls measures libkrb5's calls by one client after the other.
func (b *bench) calls() error {
	for _, n := range b.options.tickets {
		if err := b.play(scene{circumstances{byCalls, n, usualSize, 1, 0}, b.options.wanted()}); err != nil {
			return err
		}
	}
	for _, n := range b.options.bigTickets {
		steps := b.options.wanted("retrieve", "iterate", "replace", "store")
		if err := b.play(scene{circumstances{byCalls, n, bigSize, 1, 0}, steps}); err != nil {
			return err
		}
	}
	return nil
}

// manyClients measures several clients at once, of one user, in one cache.
func (b *bench) manyClients() error {
	tickets := 300
	if b.options.effort.name == smoke.name {
		tickets = 10
	}
	for _, n := range append([]int{1}, b.options.clients...) {
		c := circumstances{byCalls, tickets, usualSize, n, 0}
		if n == 1 && b.measured(c) {
			continue
		}
		if err := b.play(scene{c, b.options.wanted("retrieve", "miss", "iterate", "store")}); err != nil {
			return err
		}
		b.lookAtMemory(c)
	}
	return nil
}

// measured tells whether these circumstances have been measured.
func (b *bench) measured(c circumstances) bool {
	for _, r := range b.results.list {
		if r.circumstances == c {
			return true
		}
	}
	return false
}

// play does the steps of a scene, the peers by turns.
func (b *bench) play(s scene) error {
	if len(s.steps) == 0 {
		return nil
	}
	clients, err := b.clients(s.Clients)
	if err != nil {
		return err
	}
	for _, d := range clients {
		if err := d.do("client", strconv.Itoa(d.number), strconv.Itoa(s.Bytes)); err != nil {
			return err
		}
	}
	unprepared := make(map[*peer]error)
	for _, p := range b.peers {
		b.progress(fmt.Sprintf("%v: filling %s", s.circumstances, p.name))
		unprepared[p] = b.prepare(s, p, clients)
	}
	for _, st := range s.steps {
		b.progress(fmt.Sprintf("%v: %s", s.circumstances, st.name))
		b.turns(s, st, clients, unprepared)
	}
	for _, p := range b.peers {
		if unprepared[p] == nil && !p.isEcho() {
			b.clear(p, clients)
		}
	}
	return nil
}

// otherCaches is how many caches there are besides the one that is measured.
const otherCaches = 9

// prepare makes the cache of a peer.
func (b *bench) prepare(s scene, p *peer, clients []*driver) error {
	if p.failure != nil {
		return p.failure
	}
	if p.isEcho() {
		return nil
	}
	for i, d := range clients {
		if err := d.place(p); err != nil {
			return err
		}
		if err := d.fill(p, s.Tickets, i > 0, b.options.fillBudget); err != nil {
			b.clear(p, clients[:1])
			return err
		}
	}
	if !p.collects {
		return nil
	}
	return clients[0].do("caches", strconv.Itoa(p.place), strconv.Itoa(otherCaches))
}

func (b *bench) clear(p *peer, clients []*driver) {
	for i, d := range clients {
		if i > 0 && !p.private {
			return
		}
		if err := d.do("clear", strconv.Itoa(p.place), strconv.Itoa(otherCaches)); err != nil {
			p.failure = fmt.Errorf("cannot clear up: %w", err)
		}
	}
}

// turns does a step in rounds, in each of which every peer has its turn.
func (b *bench) turns(s scene, st step, clients []*driver, unprepared map[*peer]error) {
	type turn struct {
		*result
		peer *peer
		left time.Duration // of the time that the peer has for this step
	}
	var list []*turn
	for _, p := range b.peers {
		r := b.results.add(s.circumstances, st.name, p)
		r.Failure = unprepared[p]
		if r.Failure == nil {
			r.Failure = b.cannot(s, st, p, clients)
		}
		if r.Failure == nil {
			list = append(list, &turn{r, p, b.options.stepBudget})
		}
	}
	for range b.options.rounds {
		for _, t := range list {
			if t.Failure != nil || t.left <= 0 {
				continue
			}
			start := time.Now()
			t.Failure = b.turn(s, st, t.peer, clients, t.result)
			t.left -= time.Since(start)
			if t.peer.failure == nil && t.peer.ended != nil {
				t.peer.failure = t.peer.ended()
			}
		}
	}
}

// cannot returns why a peer does not do a step, and tells the clients of the echo
// how much they exchange.
func (b *bench) cannot(s scene, st step, p *peer, clients []*driver) error {
	if p.failure != nil {
		return p.failure
	}
	if !p.isEcho() {
		if st.collection && !p.collects {
			return fmt.Errorf("%w: there is one cache of this type", errNot)
		}
		return nil
	}
	x, ok := exchangeOf(st.name, s.Tickets, s.Bytes)
	if !ok {
		return fmt.Errorf("%w: it is more than one exchange", errNot)
	}
	for _, d := range clients {
		if err := d.do("echo", strconv.Itoa(p.place), p.socket, strconv.Itoa(x.request), strconv.Itoa(x.reply)); err != nil {
			return err
		}
	}
	return nil
}

// turn has all clients do a step for a moment.
func (b *bench) turn(s scene, st step, p *peer, clients []*driver, r *result) error {
	count := maxCount
	if st.changes && p.tombstones {
		if err := clients[0].fill(p, s.Tickets, false, b.options.fillBudget); err != nil {
			return err
		}
		count = 16 + s.Tickets/8
	}
	var before time.Duration
	var err error
	if p.pid != 0 {
		if before, err = processorTime(p.pid); err != nil {
			return err
		}
	}
	// With several clients a moment is longer: none is to be done before all have begun.
	moment := b.options.slice * time.Duration(min(s.Clients, 8))
	for _, d := range clients {
		if err := d.send("step", strconv.Itoa(p.place), st.name, strconv.Itoa(count), strconv.FormatInt(moment.Milliseconds(), 10)); err != nil {
			return err
		}
	}
	var failure error
	for _, d := range clients {
		got, err := d.receiveSlice()
		if err != nil {
			failure = err
			continue
		}
		r.Took = append(r.Took, got.took...)
		r.Client += got.processor
	}
	if failure == nil && p.pid != 0 {
		after, err := processorTime(p.pid)
		if err != nil {
			return err
		}
		r.Server += after - before
	}
	return failure
}

// maxCount bounds how often a client does a step in one turn.
const maxCount = 2000
