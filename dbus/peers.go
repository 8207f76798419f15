package dbus

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// peers are the connections on the bus that called us or are subscribed, by
// unique name. The bus never uses such a name again.
type peers struct {
	// mu is never held while something is sent, so that the reader of the
	// connection may take it.
	mu      sync.Mutex
	byName  map[string]*peer
	counter uint64          // of subscriptions made
	watches map[*watch]bool // see watchDepartures
	asking  map[uint32]int  // questions to polkit under way, by uid; see polkit.go
}

// A peer is one connection on the bus.
type peer struct {
	name string
	// known is set before the first call is dispatched, by the goroutine that
	// works for this peer.
	known bool
	view  view // guarded by peers.mu; what it gets to see, once known

	queue   []*call // guarded by peers.mu
	working bool    // guarded by peers.mu: a goroutine works on the queue

	sub *subscription // guarded by peers.mu; nil if not subscribed

	left chan struct{} // closed when it leaves the bus
}

// A watch notes who leaves the bus meanwhile.
type watch struct{ gone map[string]bool }

func (p *peers) init() {
	p.byName = make(map[string]*peer)
	p.watches = make(map[*watch]bool)
	p.asking = make(map[uint32]int)
}

// get returns the peer of that name. p.mu is held.
func (p *peers) get(name string) *peer {
	one := p.byName[name]
	if one == nil {
		one = &peer{name: name, left: make(chan struct{})}
		p.byName[name] = one
	}
	return one
}

// enqueue puts c at the end of its sender's queue, whose length the guard bounds.
// It returns the peer if a goroutine is to be started to work for it.
func (p *peers) enqueue(c *call) (start *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.get(c.sender)
	c.from = from
	from.queue = append(from.queue, c)
	if from.working {
		return nil
	}
	from.working = true
	return from
}

// next returns the next call of from, or nil if there is none, which ends the
// work for it.
func (p *peers) next(from *peer) *call {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(from.queue) == 0 {
		from.working = false
		from.queue = nil
		return nil
	}
	c := from.queue[0]
	from.queue[0] = nil
	from.queue = from.queue[1:]
	return c
}

// gone forgets a connection that left the bus, and what it still waits for.
func (p *peers) gone(name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.watches {
		w.gone[name] = true
	}
	if one := p.byName[name]; one != nil {
		one.queue = nil
		one.sub = nil
		close(one.left)
		delete(p.byName, name)
	}
}

// watchDepartures has the names noted that leave the bus until end is called.
func (p *peers) watchDepartures() (w *watch, end func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w = &watch{gone: make(map[string]bool)}
	p.watches[w] = true
	return w, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.watches, w)
	}
}

// drain waits until all calls are answered or ctx ends.
func (p *peers) drain(ctx context.Context) {
	for p.busy() {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Millisecond):
		}
	}
}

func (p *peers) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(slices.Collect(maps.Values(p.byName)), func(one *peer) bool { return one.working })
}

// meet notes what one gets to see at first.
func (p *peers) meet(one *peer, v view) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.view, one.known = v, true
}

// setView sets what one gets to see from now on, in answers and in signals. It
// returns the subscription as it was and as it is, both nil if there is none.
func (p *peers) setView(one *peer, v view) (was, is *subscription) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.view = v
	if one.sub == nil {
		return nil, nil
	}
	sub := *one.sub
	sub.view = v
	was, one.sub = one.sub, &sub
	return was, &sub
}

// viewOf returns what one gets to see.
func (p *peers) viewOf(one *peer) view {
	p.mu.Lock()
	defer p.mu.Unlock()
	return one.view
}
