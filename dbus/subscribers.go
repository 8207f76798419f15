package dbus

import (
	"cmp"
	"slices"

	"kcmd.org/kcmd/ccstore"
)

// A subscription is what a connection gets told without asking.
type subscription struct {
	view     view
	implicit bool    // made by a read, not by Subscribe
	order    uint64  // older ones have lower numbers
	tickets  bool    // with the signals of the interface Cache
	only     *uint32 // restricted to the collection of this uid; nil: all in view
}

// covers reports whether the subscription is for the collection of that owner.
func (s *subscription) covers(o ccstore.Owner) bool {
	return s.view.mayView(o) && (s.only == nil || *s.only == o.UID)
}

// recipient returns where the signals of the subscription go.
func (s *subscription) recipient(name string) recipient {
	return recipient{name, s.view, s.tickets, s.order}
}

// A recipient is where a signal goes.
type recipient struct {
	name    string // "" is everybody
	view    view
	tickets bool
	order   uint64 // of the subscription
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

// lastOrder returns the order of the last subscription.
func (p *peers) lastOrder() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.counter
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

// recipients returns who gets signals about the collection of that owner.
func (b *bus) recipients(o ccstore.Owner) []recipient {
	if b.Session {
		if b.self.mayView(o) {
			return []recipient{{view: b.self, tickets: true, order: 1}}
		}
		return nil
	}
	b.peers.mu.Lock()
	defer b.peers.mu.Unlock()
	var list []recipient
	for _, one := range b.peers.byName {
		if one.sub != nil && one.sub.covers(o) {
			list = append(list, one.sub.recipient(one.name))
		}
	}
	slices.SortFunc(list, func(a, b recipient) int { return cmp.Compare(a.name, b.name) })
	return list
}

// wanted reports whether anybody gets signals about the collection of that owner.
func (b *bus) wanted(o ccstore.Owner) bool {
	if b.Session {
		return b.self.mayView(o)
	}
	b.peers.mu.Lock()
	defer b.peers.mu.Unlock()
	for _, one := range b.peers.byName {
		if one.sub != nil && one.sub.covers(o) {
			return true
		}
	}
	return false
}
