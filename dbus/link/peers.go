package link

import (
	"context"

	"sync"
	"sync/atomic"
)

// peers are the connections on the bus that called us or that were looked at for
// their process, by unique name. The bus never uses such a name again.
type peers struct {
	// mu is never held while something is sent, so that the reader of the
	// connection may take it.
	mu     sync.Mutex
	byName map[string]*Peer
	new    func(name string) *Peer

	workers     sync.WaitGroup // goroutines that serve calls
	descriptors *descriptors
}

// A Peer is another connection on the bus.
type Peer struct {
	Name string // unique name

	identity atomic.Pointer[Identity] // nil: not known yet
	pid      atomic.Uint32            // 0: not known yet
	left     atomic.Bool
	ctx      context.Context // ends when the peer leaves the bus
	cancel   context.CancelFunc
	lane     *lane
	sent     sent

	// Guarded by peers.mu.
	queue   []*Call
	working bool // a goroutine works on the queue
}

// An Identity says whose a connection is. It never changes.
type Identity struct {
	UID   uint32
	Label string // SELinux label; "" where there is none, or labels do not count
}

// Identity returns whose connection p is. It is known once a call of p is served.
func (p *Peer) Identity() Identity { return *p.identity.Load() }

// HasLeft reports whether the peer has left the bus.
func (p *Peer) HasLeft() bool { return p.left.Load() }

func (c *Conn) newPeer(name string) *Peer {
	p := &Peer{Name: name, lane: c.all}
	if !c.Broadcast {
		p.lane = &lane{send: c.guard.Send}
	}
	p.ctx, p.cancel = context.WithCancel(c.bus.Context())
	return p
}

// named returns the peers of those names. It makes them known, so that remove
// notices that one leaves.
func (p *peers) named(names []string) (list []*Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		list = append(list, p.get(name))
	}
	return list
}

// get returns the peer of that name. p.mu is held.
func (p *peers) get(name string) *Peer {
	peer := p.byName[name]
	if peer == nil {
		peer = p.new(name)
		p.byName[name] = peer
	}
	return peer
}

// maxRefused is how many calls of a peer may wait for the answer that they are
// over a limit. Those after them get none.
const maxRefused = 1024

// enqueue puts a call at the end of its sender's queue, whose length the guard
// bounds. It reports whether a goroutine is to be started for the sender.
func (p *peers) enqueue(sender string, c *Call) (start bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.get(sender)
	if c.OverLimit && len(from.queue) >= maxRefused {
		return false
	}
	c.From = from
	p.descriptors.charge(c)
	from.queue = append(from.queue, c)
	start = !from.working
	from.working = true
	return start
}

// next returns the next call of a peer, or nil if there is none, which ends the
// work for it.
func (p *peers) next(from *Peer) *Call {
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

// remove forgets a peer that left the bus, and ends its waiting calls. It returns
// nil for an unknown peer.
func (p *peers) remove(name string) *Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	peer := p.byName[name]
	if peer != nil {
		for _, call := range peer.queue {
			call.End()
		}
		peer.queue = nil
		peer.left.Store(true)
		peer.cancel()
		delete(p.byName, name)
	}
	return peer
}

// drain waits until all calls are answered or ctx ends.
func (p *peers) drain(ctx context.Context) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.workers.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
	}
}
