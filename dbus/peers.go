package dbus

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	godbus "github.com/godbus/dbus/v5"
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
}

// A peer is one connection on the bus.
type peer struct {
	name string
	uid  uint32 // once known
	// known and uid are set before the first call is dispatched, by the
	// goroutine that works for this peer.
	known bool

	queue   []*call // guarded by peers.mu
	working bool    // guarded by peers.mu: a goroutine works on the queue

	sub *subscription // guarded by peers.mu; nil if not subscribed
}

// A watch notes who leaves the bus meanwhile.
type watch struct{ gone map[string]bool }

func (p *peers) init() {
	p.byName = make(map[string]*peer)
	p.watches = make(map[*watch]bool)
}

// get returns the peer of that name. p.mu is held.
func (p *peers) get(name string) *peer {
	one := p.byName[name]
	if one == nil {
		one = &peer{name: name}
		p.byName[name] = one
	}
	return one
}

// maxWaiting is how many calls of one peer may wait for their turn.
const maxWaiting = 256

// enqueue puts c at the end of its sender's queue. It reports whether there was
// room, and returns the peer if a goroutine is to be started to work for it.
func (p *peers) enqueue(c *call) (start *peer, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from := p.get(c.sender)
	if len(from.queue) >= maxWaiting {
		return nil, false
	}
	c.from = from
	from.queue = append(from.queue, c)
	if from.working {
		return nil, true
	}
	from.working = true
	return from, true
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

// identify finds out whose connection p is.
func (b *bus) identify(p *peer) error {
	if p.known {
		return nil
	}
	c, err := b.credentials(p.name)
	if err != nil {
		return err
	}
	p.uid, p.known = c.uid, true
	return nil
}

// busTimeout is for the bus to answer a question.
const busTimeout = 10 * time.Second

// credentials are what the bus says of a connection.
type credentials struct{ uid, pid uint32 }

var errUnknownUID = &fault{errAccessDenied, "the bus does not say which user you are"}

func (b *bus) credentials(name string) (credentials, error) {
	ctx, cancel := context.WithTimeout(b.ctx, busTimeout)
	defer cancel()
	return readCredentials(b.call(ctx, "GetConnectionCredentials", name))
}

func readCredentials(answer *godbus.Call) (c credentials, err error) {
	var dict map[string]godbus.Variant
	if err := answer.Store(&dict); err != nil {
		return c, errUnknownUID
	}
	uid, ok := dict["UnixUserID"].Value().(uint32)
	if !ok {
		return c, errUnknownUID
	}
	pid, _ := dict["ProcessID"].Value().(uint32)
	return credentials{uid: uid, pid: pid}, nil
}

// connections returns the names of the connections to the bus that the process
// pid of the user uid has.
func (b *bus) connections(ctx context.Context, pid, uid uint32) ([]string, error) {
	ctx, cancel := context.WithTimeout(ctx, busTimeout)
	defer cancel()
	var names []string
	if err := b.call(ctx, "ListNames").Store(&names); err != nil {
		return nil, err
	}
	names = slices.DeleteFunc(names, func(name string) bool { return !strings.HasPrefix(name, ":") })
	answers := make([]*godbus.Call, len(names))
	for i, name := range names {
		answers[i] = b.conn.BusObject().GoWithContext(ctx, "org.freedesktop.DBus.GetConnectionCredentials", 0,
			make(chan *godbus.Call, 1), name)
	}
	var found []string
	for i, answer := range answers {
		<-answer.Done
		// Connections that left meanwhile have no credentials.
		if c, err := readCredentials(answer); err == nil && c.pid == pid && c.uid == uid {
			found = append(found, names[i])
		}
	}
	return found, nil
}
