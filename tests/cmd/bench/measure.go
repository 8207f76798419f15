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
)

const (
	otherCaches = 9      // caches besides the measured one
	manyCaches  = 50     // those of klist -A
	maxCount    = 20_000 // of a step in one turn
)

// calls measures one client.
func (b *bench) calls() {
	for _, n := range b.options.tickets {
		b.measure(usual(n), "retrieve", "miss", "principal", "iterate", "collection", "replace", "store", "again")
	}
}

// commands measures whole programs.
func (b *bench) commands() {
	b.measure(withCaches(1), "kinit", "klist", "kvno")
	b.measure(withCaches(manyCaches), "klist-A")
}

// manyClients measures several clients at once, of one user, in one cache.
func (b *bench) manyClients() {
	for _, n := range append([]int{1}, b.options.clients...) {
		c := usual(b.options.crowd).atOnce(n)
		if !slices.ContainsFunc(b.results, func(r *result) bool { return r.circumstances == c }) {
			b.measure(c, "retrieve", "miss", "iterate", "store")
		}
	}
}

// measure does steps in some circumstances, with the peers in turn.
func (b *bench) measure(c circumstances, names ...string) {
	names = slices.DeleteFunc(names, func(n string) bool { return !slices.Contains(b.options.only, n) })
	if len(names) == 0 {
		return
	}
	clients := b.clients(c.Clients)
	for _, p := range b.peers {
		b.progress(fmt.Sprintf("%v: filling %s", c, p.name))
		p.unfilled = nil
		if p.failure == nil && !p.has(isCanned) {
			p.unfilled = attempt(func() { b.fill(c, p, clients) })
		}
	}
	for _, st := range chosen(steps, names, stepName) {
		b.progress(fmt.Sprintf("%v: %s", c, st.name))
		b.measureStep(c, st, clients)
	}
	for _, p := range b.peers {
		if p.failure == nil && clients[0].placed[p] && !p.has(isCanned) {
			p.failure = attempt(func() {
				if p.server != nil {
					b.results.add(p.name, memoryWith(c), "bytes", memoryOf(p.pid()))
				}
				clients[0].do("clear", p)
			})
		}
	}
}

// memoryWith names the figure of a server's memory.
func memoryWith(c circumstances) string { return "resident memory after " + c.String() }

// memoryOf returns the resident memory of a process, in bytes.
func memoryOf(pid int) float64 {
	var size, resident int
	got(fmt.Sscan(string(got(os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid)))), &size, &resident))
	return float64(resident * os.Getpagesize())
}

// fill fills the cache of a peer, and makes its other caches.
func (b *bench) fill(c circumstances, p *peer, clients []*driver) {
	for _, d := range clients {
		d.place(p)
	}
	first, others := clients[0], otherCaches
	switch {
	case c.Caches > 0:
		others = c.Caches - 1
		got(together(clients, p, once("kinit", 0)))
		got(together(clients, p, once("kvno", 0)))
	case p.isKcmd():
		must(storeAs(os.Getuid(), p, kcmCache, c.Tickets))
	default:
		first.fill(p, c.Tickets, b.options.fillBudget)
	}
	if p.has(collects) {
		first.do("caches", p, others)
	}
}

// measureStep measures a step of all peers.
func (b *bench) measureStep(c circumstances, st step, clients []*driver) {
	all := make([]*result, len(b.peers))
	for i, p := range b.peers {
		all[i] = &result{key: key{c, st.name, p.name}, failure: errors.Join(p.unfilled, p.failure)}
		switch {
		case all[i].failure != nil:
		case p.has(isCanned):
			all[i].failure = attempt(func() { b.serveCanned(c, st, p, clients) })
		case st.collection && !p.has(collects):
			all[i].failure = fmt.Errorf("%w: this type has one cache", errNot)
		}
	}
	b.results = append(b.results, all...)
	rounds := b.options.rounds
	if c.Clients > 1 {
		rounds = max(rounds/4, 2) // longer ones, in which clients and server meet in all ways
	}
	used := make([]time.Duration, len(all))
	for round := range rounds {
		processor := processorOf(round)
		if c.Clients > 1 {
			processor = anyProcessor // they have to compete
		}
		for i, r := range all {
			if r.failure != nil || used[i] > b.options.stepBudget {
				continue
			}
			p, start := b.peers[i], time.Now()
			r.failure = attempt(func() { b.turn(st, p, r, clients, processor) })
			used[i] += time.Since(start)
			if p.server != nil && p.failure == nil {
				p.failure = p.server.Ended()
			}
		}
	}
}

// turn has all clients do a step at once, for a moment.
func (b *bench) turn(st step, p *peer, r *result, clients []*driver, processor int) {
	const commandLonger = 5 // than another step
	t := turn{st.name, r.Tickets, maxCount, b.options.slice, processor}
	if st.changes && p.has(tombstones) {
		clients[0].fill(p, r.Tickets, b.options.fillBudget)
		t.count = 16 + r.Tickets/8
	}
	must(bind(p.pid(), processor))
	if st.command {
		t.moment *= commandLonger
		must(bind(b.realm.KDC.PID(), processor))
	}
	t.moment *= time.Duration(min(len(clients), 8)) // they do not begin at once
	took, err := together(clients, p, t)
	r.add(took, processor)
	if !st.changes {
		r.Rate = max(r.Rate, float64(len(took))/t.moment.Seconds())
	}
	must(err)
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
