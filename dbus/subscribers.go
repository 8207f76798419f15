package dbus

import (
	"cmp"
	"slices"
)

// A subscription is what a connection gets told without asking.
type subscription struct {
	view     view
	implicit bool    // made by a read, not by Subscribe
	order    uint64  // older ones have lower numbers
	tickets  bool    // with TicketsAdded and TicketsRemoved
	only     *uint32 // restricted to the collection of this uid; nil: all in view
}

// covers reports whether the subscription is for the collection of that uid.
func (s *subscription) covers(uid uint32) bool {
	return s.view.mayView(uid) && (s.only == nil || *s.only == uid)
}

// A recipient is where a signal goes.
type recipient struct {
	name    string // "" is everybody
	view    view
	tickets bool
}

// maxSubscriptions is how many connections of one uid may be subscribed.
const maxSubscriptions = 64

// subscribe subscribes a connection that is on the bus. An explicit
// subscription replaces the one there is; an implicit one leaves it alone. It
// fails if the uid has too many.
func (p *peers) subscribe(one *peer, sub subscription) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.byName[one.name] != one || one.sub != nil && sub.implicit {
		return nil
	}
	if one.sub == nil && !p.makeRoom(sub.view.uid) {
		return &fault{errLimitsExceeded, "too many subscriptions of this user"}
	}
	p.counter++
	sub.order = p.counter
	one.sub = &sub
	return nil
}

// subscribeNames subscribes those connections that have not left since w began.
// It returns how many.
func (p *peers) subscribeNames(names []string, w *watch, sub subscription) (n uint32, err error) {
	for _, name := range names {
		p.mu.Lock()
		var one *peer
		if !w.gone[name] {
			one = p.get(name)
		}
		p.mu.Unlock()
		if one == nil {
			continue
		}
		if err := p.subscribe(one, sub); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// makeRoom makes room for one more subscription of uid, by ending the oldest
// implicit one where it must. It reports whether there is room. p.mu is held.
func (p *peers) makeRoom(uid uint32) bool {
	count := 0
	var oldest *peer
	for _, one := range p.byName {
		if one.sub == nil || one.sub.view.uid != uid {
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
	return true
}

func (p *peers) unsubscribe(one *peer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	one.sub = nil
}

func (p *peers) subscribed(one *peer) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return one.sub != nil
}

// recipients returns who gets signals about the collection of uid.
func (b *bus) recipients(uid uint32) []recipient {
	if b.Session {
		if v := broadcastView(); v.mayView(uid) {
			return []recipient{{view: v, tickets: true}}
		}
		return nil
	}
	b.peers.mu.Lock()
	defer b.peers.mu.Unlock()
	var list []recipient
	for _, one := range b.peers.byName {
		if one.sub != nil && one.sub.covers(uid) {
			list = append(list, recipient{one.name, one.sub.view, one.sub.tickets})
		}
	}
	slices.SortFunc(list, func(a, b recipient) int { return cmp.Compare(a.name, b.name) })
	return list
}

// wanted reports whether anybody gets signals about the collection of uid.
func (b *bus) wanted(uid uint32) bool {
	if b.Session {
		return broadcastView().mayView(uid)
	}
	b.peers.mu.Lock()
	defer b.peers.mu.Unlock()
	for _, one := range b.peers.byName {
		if one.sub != nil && one.sub.covers(uid) {
			return true
		}
	}
	return false
}
