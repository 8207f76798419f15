package dbus

import (
	"cmp"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// clients are the connections that called or are subscribed.
type clients struct {
	broadcast *subscription // in session mode: of the peer nil, which is everybody
	narrowed  atomic.Bool   // a subscription ended or got narrower
	tidy      func()        // has unwanted mirrors dropped later

	// mu is never held while something is sent, so that the receiver of the
	// connection may take it.
	mu      sync.Mutex
	byPeer  map[*link.Peer]*client
	counter uint64 // of subscriptions made
}

// A client is a connection that called or is subscribed. Its fields are guarded
// by clients.mu.
type client struct {
	peer  *link.Peer
	known bool          // it has called: scope is set
	scope view.Scope    // of its answers
	sub   *subscription // nil if it is not subscribed
}

// A subscription says which signals a connection gets.
type subscription struct {
	scope    view.Scope
	implicit bool        // made by a read, not by Subscribe
	order    uint64      // older ones have lower numbers
	topics   view.Topics // of the signals of the interface Cache
	only     *uint32     // restricted to the collection of this uid; nil: all in scope
	alias    bool        // with those of the same objects below /user/self
}

// covers reports whether the subscription is for the collection of that owner.
func (s *subscription) covers(o ccstore.Owner) bool {
	return s.scope.Covers(o) && (s.only == nil || *s.only == o.UID)
}

// A recipient is a peer that signals go to, nil for everybody, with its
// subscription at the time.
type recipient struct {
	peer *link.Peer
	subscription
}

// maxSubscriptions is how many connections of one uid may be subscribed.
const maxSubscriptions = 64

func newClients(tidy func()) clients {
	return clients{tidy: tidy, byPeer: make(map[*link.Peer]*client)}
}

// narrow notes that a subscription ended or got narrower.
func (c *clients) narrow() {
	c.narrowed.Store(true)
	c.tidy()
}

// get returns the client of a peer, or nil if the peer has left. c.mu is held.
func (c *clients) get(peer *link.Peer) *client {
	if peer.HasLeft() {
		return nil
	}
	one := c.byPeer[peer]
	if one == nil {
		one = &client{peer: peer}
		c.byPeer[peer] = one
	}
	return one
}

// meet returns the client of a peer that calls, and the scope of its answers. On
// its first call that is what first says. A peer that has left gets a client that
// nothing knows of.
func (c *clients) meet(peer *link.Peer, first func() (view.Scope, error)) (*client, view.Scope, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.get(peer)
	if one == nil {
		one = &client{peer: peer}
	}
	if !one.known {
		scope, err := first()
		if err != nil {
			return nil, scope, err
		}
		one.scope, one.known = scope, true
	}
	return one, one.scope, nil
}

// remove forgets a peer that left the bus.
func (c *clients) remove(peer *link.Peer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.byPeer[peer]; one != nil && one.sub != nil {
		c.narrow()
	}
	delete(c.byPeer, peer)
}

// subscribe subscribes a peer, unless it has left. An explicit subscription
// replaces the one there is; an implicit one leaves it alone. It reports whether
// the peer gets signals that it did not get before, and fails if the uid has too
// many subscriptions.
func (c *clients) subscribe(peer *link.Peer, sub subscription) (began bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broadcast != nil {
		c.broadcast.alias = c.broadcast.alias || sub.alias
		return false, nil
	}
	one := c.get(peer)
	switch {
	case one == nil:
		return false, nil
	case one.sub != nil && sub.implicit:
		one.sub.alias = one.sub.alias || sub.alias
		return false, nil
	case one.sub == nil && !c.makeRoom(sub.scope.UID):
		return false, &fault{errLimitsExceeded, fmt.Sprintf("the user has %d subscriptions; allowed: %d; end one with Unsubscribe", maxSubscriptions, maxSubscriptions)}
	}
	c.counter++
	sub.order = c.counter
	if one.sub != nil {
		c.narrow() // the new one may be narrower
		// A proxy of an object below /user/self does not call again.
		sub.alias = sub.alias || one.sub.alias
	}
	one.sub = &sub
	return true, nil
}

// makeRoom makes room for one more subscription of uid, by ending the oldest
// implicit one where it must. It reports whether there is room. c.mu is held.
func (c *clients) makeRoom(uid uint32) bool {
	count := 0
	var oldest *client
	for _, one := range c.byPeer {
		if one.sub == nil || one.sub.scope.UID != uid {
			continue
		}
		count++
		if one.sub.implicit && (oldest == nil || one.sub.order < oldest.sub.order) {
			oldest = one
		}
	}
	if count < maxSubscriptions {
		return true
	}
	if oldest == nil {
		return false
	}
	oldest.sub = nil
	c.narrow()
	return true
}

// end ends the subscription of a peer, and reports whether there was one.
func (c *clients) end(peer *link.Peer) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.byPeer[peer]
	if one == nil || one.sub == nil {
		return false
	}
	one.sub = nil
	c.narrow()
	return true
}

// endAll ends the subscriptions to the collection of o, if there are any and, with
// own, if they are all of its user.
func (c *clients) endAll(o ccstore.Owner, own bool) (ended bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*client
	for _, one := range c.byPeer {
		if one.sub != nil && one.sub.covers(o) {
			if own && one.sub.scope.UID != o.UID {
				return false
			}
			list = append(list, one)
		}
	}
	for _, one := range list {
		one.sub = nil
	}
	if len(list) > 0 {
		c.narrow()
	}
	return len(list) > 0
}

// subscribed reports whether a client gets signals.
func (c *clients) subscribed(one *client) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.broadcast != nil || one.sub != nil
}

// hears reports whether a client gets signals about the collection of o.
func (c *clients) hears(one *client, o ccstore.Owner) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.broadcast != nil {
		return c.broadcast.covers(o)
	}
	return one.sub != nil && one.sub.covers(o)
}

// setScope sets the scope of a client's answers. From then on the changes in that
// scope are kept for it, if it is subscribed; see setSignalScope.
func (c *clients) setScope(one *client, scope view.Scope) {
	c.mu.Lock()
	defer c.mu.Unlock()
	one.scope = scope
}

// setSignalScope sets the scope of the signals that a client gets. It returns the
// subscription as it was and as it is, both nil if there is none.
func (c *clients) setSignalScope(one *client, scope view.Scope) (before, after *subscription) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one.sub == nil {
		return nil, nil
	}
	sub := *one.sub
	sub.scope = scope
	c.narrow()
	before, one.sub = one.sub, &sub
	return before, &sub
}

// recipients returns the subscribers that get signals about the collection of o.
func (c *clients) recipients(o ccstore.Owner) (list []recipient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.byPeer {
		if one.sub != nil && one.sub.covers(o) {
			list = append(list, recipient{one.peer, *one.sub})
		}
	}
	slices.SortFunc(list, func(a, b recipient) int { return cmp.Compare(a.order, b.order) })
	return list
}

// everyone returns all subscribers.
func (c *clients) everyone() (list []recipient) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.byPeer {
		if one.sub != nil {
			list = append(list, recipient{one.peer, *one.sub})
		}
	}
	return list
}

// want reports whether any subscriber sees the collection of o, or is about to.
func (c *clients) want(o ccstore.Owner) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, one := range c.byPeer {
		if one.sub != nil && (one.sub.covers(o) || one.known && one.scope.Covers(o)) {
			return true
		}
	}
	return false
}
