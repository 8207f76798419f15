package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A scene is steps in one circumstance.
type scene struct {
	circumstances
	steps []step
	way   way
}

// A way is how the peers are made to do a step: by calls of libkrb5, or by frames.
type way interface {
	// begin is called before the first peer is prepared.
	begin(s scene) error
	// prepare makes the cache of a peer.
	prepare(s scene, p *peer) error
	// cannot returns why a peer does not do a step, nil if it does. Then turn is
	// called with it.
	cannot(s scene, st step, p *peer) error
	// turn has a peer do the step for a moment, and adds what it took.
	turn(s scene, st step, p *peer, r *result) error
	// end removes what prepare has made.
	end(p *peer) error
}

// Sizes of tickets, in bytes: a usual one, and one with the groups of a user of a
// large Active Directory.
const (
	usualSize = 1200
	bigSize   = 50 << 10
)

// errNot is wrapped by the reasons why something cannot be done at all.
var errNot = errors.New("not possible")

// calls measures libkrb5's calls by one client.
func (b *bench) calls() error {
	for _, n := range b.options.tickets {
		if err := b.play(scene{circumstances{byCalls, n, usualSize, 1, 0}, b.options.wanted(), &callers{bench: b}}); err != nil {
			return err
		}
	}
	for _, n := range b.options.bigTickets {
		steps := b.options.wanted("retrieve", "iterate", "replace", "store")
		if err := b.play(scene{circumstances{byCalls, n, bigSize, 1, 0}, steps, &callers{bench: b}}); err != nil {
			return err
		}
	}
	return nil
}

// frames measures KCM servers by frames, without libkrb5.
func (b *bench) frames() error {
	steps := b.options.wanted("principal", "retrieve", "miss", "iterate", "store")
	for _, n := range b.options.tickets {
		if err := b.play(scene{circumstances{byFrames, n, usualSize, 1, 0}, steps, &framers{bench: b}}); err != nil {
			return err
		}
	}
	return nil
}

// crowd is how many tickets there are where several clients are measured.
func (o *options) crowd() int {
	if slices.Contains(o.tickets, 300) {
		return 300
	}
	return o.tickets[0]
}

// manyClients measures several clients at once, of one user, in one cache.
func (b *bench) manyClients() error {
	for _, n := range append([]int{1}, b.options.clients...) {
		c := circumstances{byCalls, b.options.crowd(), usualSize, n, 0}
		if n == 1 && b.measured(c) {
			continue
		}
		steps := b.options.wanted("retrieve", "miss", "iterate", "store")
		if err := b.play(scene{c, steps, &callers{bench: b}}); err != nil {
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
	if err := s.way.begin(s); err != nil {
		return err
	}
	unprepared := make(map[*peer]error)
	for _, p := range b.peers {
		b.progress(fmt.Sprintf("%v: filling %s", s.circumstances, p.name))
		unprepared[p] = p.failure
		if p.failure == nil {
			unprepared[p] = s.way.prepare(s, p)
		}
	}
	for _, st := range s.steps {
		b.progress(fmt.Sprintf("%v: %s", s.circumstances, st.name))
		b.turns(s, st, unprepared)
	}
	for _, p := range b.peers {
		if p.failure != nil {
			continue
		}
		if err := s.way.end(p); err != nil {
			p.failure = fmt.Errorf("cannot clear up: %w", err)
		}
	}
	return nil
}

// turns does a step in rounds, in each of which every peer has its turn.
func (b *bench) turns(s scene, st step, unprepared map[*peer]error) {
	type turn struct {
		*result
		peer *peer
		left time.Duration // of the time that the peer has for this step
	}
	var list []*turn
	for _, p := range b.peers {
		r := b.results.add(s.circumstances, st.name, p.name)
		switch {
		case unprepared[p] != nil:
			r.Failure = unprepared[p]
		case p.failure != nil:
			r.Failure = p.failure
		default:
			r.Failure = s.way.cannot(s, st, p)
		}
		if s.Users > p.others && r.Failure == nil && p.isKCM {
			r.Remark = fmt.Sprintf("too slow to store more than %d of %d other users", p.others, s.Users)
		}
		if r.Failure == nil {
			list = append(list, &turn{r, p, b.options.stepBudget})
		}
	}
	rounds := b.options.rounds
	if s.Clients > 1 {
		// Their turns are longer, and have all cases in them.
		rounds = max(rounds/4, 2)
	}
	for range rounds {
		for _, t := range list {
			if t.Failure != nil || t.left <= 0 {
				continue
			}
			start := time.Now()
			t.Failure = s.way.turn(s, st, t.peer, t.result)
			t.left -= time.Since(start)
			if t.peer.ended != nil && t.peer.failure == nil {
				t.peer.failure = t.peer.ended()
			}
		}
	}
}

// budget is how long making a cache may take. kcmd may take long: what this is all
// about is never left out.
func (b *bench) budget(p *peer) time.Duration {
	if p.isKcmd {
		return answerPatience
	}
	return b.options.fillBudget
}

// maxCount bounds how often a client does a step in one turn.
const maxCount = 2000
