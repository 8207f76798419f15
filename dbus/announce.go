package dbus

import (
	"fmt"
	"runtime/debug"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
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
	size    int64  // bytes of the collection
}

// keepAnnouncing announces the events of the store, until the connection ends.
func (b *bus) keepAnnouncing() {
	// After a failure half way it is unknown what was announced. The end of the
	// connection ends all subscriptions.
	defer func() {
		if r := recover(); r != nil {
			b.Logger.Error("announcing panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			b.conn.Close()
		}
	}()
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.pending.due.C:
			b.announceGathered()
		}
	}
}

func (b *bus) announceGathered() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.announce(b.pending.gathered()...)
	if b.clients.narrowed.Swap(false) {
		b.forget(b.clients.want)
	}
	b.shed()
}

// announce announces the pending changes of owners: it sends every subscriber the
// difference that they make to the mirror of their collection. b.mu is held.
func (b *bus) announce(owners ...ccstore.Owner) {
	for _, o := range owners {
		ch := b.pending.take(o)
		m, mirrored := b.mirrors[o]
		switch {
		case ch == nil:
			continue
		case !b.clients.want(o):
			b.drop(o)
			continue
		case !mirrored:
			m = b.keep(b.view(ch.before))
		}
		after := b.view(ch.after)
		b.setMirror(mirror{Collection: after, release: m.release})
		to := b.clients.recipients(o)
		b.send(view.Diff(m.Collection, after, ch.tickets), to...)
		b.send(view.NoticeSignals(after, ch.notices), to...)
	}
}

// send sends signals to those subscribers that they are for. One that leaves too
// much unread is a subscriber no longer.
func (b *bus) send(list []view.Signal, to ...recipient) {
	for _, s := range list {
		signal, err := link.NewSignal(s)
		if err != nil {
			panic(err) // its types are those that the XML declares
		}
		for _, r := range to {
			if !s.Reaches(r.scope.UID, r.topics) {
				continue
			}
			sent := b.conn.Send(r.peer, signal)
			if alias, ok := s.Alias(r.scope.UID); ok && r.alias {
				sent = b.conn.Send(r.peer, signal.At(alias.Path)) && sent
			}
			if !sent && b.clients.end(r.peer) {
				b.shedding.Info("a subscriber leaves its signals unread; ended the subscription", "uid", r.scope.UID)
			}
		}
	}
}

// view returns a snapshot as it reads now.
func (b *bus) view(snapshot *ccstore.Collection) view.Collection {
	return view.New(snapshot, b.Clock.Now(), b.terms.Load())
}

// keep makes a mirror. From then on the store has time that passes come as
// notices. b.mu is held.
func (b *bus) keep(c view.Collection) mirror {
	release, err := b.store.Hold(c.Owner())
	if err != nil {
		release = func() {} // the store is closed, and changes no more
	}
	m := mirror{Collection: c, release: release}
	b.setMirror(m)
	return m
}

// drop drops the mirror of a collection that no subscriber knows. b.mu is held.
func (b *bus) drop(o ccstore.Owner) {
	if m, ok := b.mirrors[o]; ok {
		m.release()
		b.mirrored -= m.size
		delete(b.mirrors, o)
	}
}

// forget drops the mirrors of all owners but those that are wanted. b.mu is held.
func (b *bus) forget(wanted func(ccstore.Owner) bool) {
	for o := range b.mirrors {
		if !wanted(o) {
			b.drop(o)
		}
	}
}
