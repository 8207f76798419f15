package dbus

import (
	"fmt"
	"runtime/debug"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/view"
)

// gathering is how long changes are gathered before they are announced: a kinit
// makes several, and 10,000 tickets stored are not 10,000 signals.
const gathering = 100 * time.Millisecond

// A mirror is a collection as the last signal or answer about it said. There is
// one of each collection that a subscriber may know.
type mirror struct {
	view.Collection
	release func() // the store holds the collection in memory until then
}

// keepAnnouncing announces the events of the store, until the connection ends.
func (b *bus) keepAnnouncing() {
	// If this fails half way, nobody knows what was announced. Without a
	// connection nobody relies on it.
	defer func() {
		if r := recover(); r != nil {
			b.Logger.Error("announcing panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			b.conn.Close()
		}
	}()
	gathered := time.NewTimer(0)
	<-gathered.C
	var narrowed <-chan time.Time // nil if no subscription ended
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.pending.first:
			gathered.Reset(gathering)
		case <-gathered.C:
			b.mu.Lock()
			b.announce(b.pending.gathered()...)
			b.mu.Unlock()
		case <-b.clients.narrowed:
			if narrowed == nil {
				narrowed = time.After(gathering)
			}
		case <-narrowed:
			narrowed = nil
			b.forgetUnwanted()
		}
	}
}

// announce announces the pending changes of owners. b.mu is held.
func (b *bus) announce(owners ...ccstore.Owner) {
	for _, o := range owners {
		ch := b.pending.take(o)
		switch {
		case ch == nil:
		case !b.clients.want(o):
			b.forget(o)
		default:
			b.send(ch)
		}
	}
}

// send sends every subscriber the difference that pending changes make to the
// mirror of their collection, and updates the mirror. b.mu is held.
func (b *bus) send(ch *changes) {
	owner := ch.after.Owner()
	release := b.hold(owner)
	before, after := b.view(ch.before), b.view(ch.after)
	if m, ok := b.mirrors[owner]; ok {
		before = m.Collection
	}
	b.mirrors[owner] = mirror{after, release}
	list := view.Diff(before, after, ch.tickets)
	list = append(list, view.NoticeSignals(after, ch.notices)...)
	for _, to := range b.clients.recipients(owner) {
		b.sendTo(to, list)
	}
}

// sendTo sends a subscriber those signals that are for it.
func (b *bus) sendTo(to recipient, list []view.Signal) {
	for _, s := range list {
		if !s.Reaches(to.scope.UID, to.tickets) {
			continue
		}
		b.conn.Send(to.peer, s)
		if same, ok := s.Alias(to.scope.UID); ok && to.alias {
			b.conn.Send(to.peer, same)
		}
	}
}

// view returns a snapshot as it reads now.
func (b *bus) view(snapshot *ccstore.Collection) view.Collection {
	return view.New(snapshot, b.Clock.Now(), &b.terms)
}

// hold returns the release of the mirror of o's collection. Whoever makes a
// mirror holds the collection before viewing it: time that passes from then on
// comes as notices. b.mu is held.
func (b *bus) hold(o ccstore.Owner) (release func()) {
	if m, ok := b.mirrors[o]; ok {
		return m.release
	}
	release, err := b.store.Hold(o)
	if err != nil {
		return func() {} // the store is closed, and changes no more
	}
	return release
}

// forget drops the mirror of a collection that no subscriber knows. b.mu is held.
func (b *bus) forget(o ccstore.Owner) {
	if m, ok := b.mirrors[o]; ok {
		m.release()
		delete(b.mirrors, o)
	}
}

// forgetUnwanted drops the mirrors that no subscriber needs any longer.
func (b *bus) forgetUnwanted() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for o := range b.mirrors {
		if !b.clients.want(o) {
			b.forget(o)
		}
	}
}

// releaseMirrors drops all mirrors at the end of the connection.
func (b *bus) releaseMirrors() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for o := range b.mirrors {
		b.forget(o)
	}
}
