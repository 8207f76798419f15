package link

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// peers are the connections on the bus that called us or that the server knows,
// by unique name. The bus never uses such a name again.
type peers struct {
	// mu is never held while something is sent, so that the reader of the
	// connection may take it.
	mu      sync.Mutex
	byName  map[string]*Peer
	watches map[*watch]bool
}

// A Peer is another connection on the bus.
type Peer struct {
	Name string // unique name

	// Whose connection it is, set before its first call is served. They are not
	// for any other goroutine than that which serves its calls.
	UID   uint32
	Label string // SELinux label; "" where there is none, or labels do not count

	known   bool    // UID and Label are set
	queue   []*Call // guarded by peers.mu
	working bool    // guarded by peers.mu: a goroutine works on the queue
	left    chan struct{}
}

// Left is closed when the peer leaves the bus.
func (p *Peer) Left() <-chan struct{} { return p.left }

// A watch holds the names that leave the bus while somebody looks.
type watch struct{ gone map[string]bool }

func newPeers() peers {
	return peers{byName: make(map[string]*Peer), watches: make(map[*watch]bool)}
}

// get returns the peer of that name. p.mu is held.
func (p *peers) get(name string) *Peer {
	peer := p.byName[name]
	if peer == nil {
		peer = &Peer{Name: name, left: make(chan struct{})}
		p.byName[name] = peer
	}
	return peer
}

// enqueue puts a call at the end of its sender's queue, whose length the guard
// bounds. It returns the peer if the caller is to start a goroutine for it.
func (p *peers) enqueue(c *Call) (start *Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	c.From = p.get(c.sender)
	c.From.queue = append(c.From.queue, c)
	if c.From.working {
		return nil
	}
	c.From.working = true
	return c.From
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

// remove forgets a peer that left the bus, with its waiting calls. It returns nil
// if nobody knew that peer.
func (p *peers) remove(name string) *Peer {
	p.mu.Lock()
	defer p.mu.Unlock()
	for w := range p.watches {
		w.gone[name] = true
	}
	peer := p.byName[name]
	if peer != nil {
		peer.queue = nil
		close(peer.left)
		delete(p.byName, name)
	}
	return peer
}

// watchDepartures notes the names that leave the bus until end is called.
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

// present returns the peers of those names that did not leave since w began.
func (p *peers) present(names []string, w *watch) (list []*Peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, name := range names {
		if !w.gone[name] {
			list = append(list, p.get(name))
		}
	}
	return list
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
	return slices.ContainsFunc(slices.Collect(maps.Values(p.byName)), func(peer *Peer) bool { return peer.working })
}
