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

// maxSleep is the longest sleep until the clock is read again. Timers count the
// time that the machine runs: they stand still while it is suspended, and do not
// notice when somebody sets the clock.
const maxSleep = time.Minute

// A mirror is a collection as the last signal or answer about it said. There is
// one of each collection that a subscriber may know.
type mirror struct {
	view.Collection
	announced view.Expiries // of its TGTs
	next      int64         // when it reads differently by itself, 0 for never
	release   func()        // the store holds the collection in memory until then
}

// keepAnnouncing announces what the store changes, and what time changes, until
// the connection ends.
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
	clock := time.NewTimer(b.sleep())
	for {
		select {
		case <-b.ctx.Done():
			return
		case <-b.pending.first:
			gathered.Reset(gathering)
		case <-gathered.C:
			b.mu.Lock()
			b.announce(b.pending.owners()...)
			b.mu.Unlock()
		case <-clock.C:
			b.announceTime()
		case <-b.rearm:
		}
		clock.Reset(b.sleep())
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
			before, ok := b.mirrors[o]
			if !ok {
				before.Collection = b.view(ch.before)
			}
			b.send(before, b.view(ch.after), ch.tickets)
		}
	}
}

// send makes after the mirror of its collection, and sends the difference to
// before to every subscriber. b.mu is held.
func (b *bus) send(before mirror, after view.Collection, changes []ccstore.Change) {
	list := view.Diff(before.Collection, after, changes)
	announced, expired := view.DiffExpiry(before.announced, before.Collection, after)
	b.setMirror(after, announced)
	list = append(list, expired...)
	for _, to := range b.clients.recipients(after.Owner()) {
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

// setMirror makes c the mirror of its owner's collection. b.mu is held.
func (b *bus) setMirror(c view.Collection, announced view.Expiries) {
	release := b.mirrors[c.Owner()].release
	if release == nil {
		var err error
		if release, err = b.store.Hold(c.Owner()); err != nil {
			release = func() {} // the store is closed, and changes no more
		}
	}
	b.mirrors[c.Owner()] = mirror{c, announced, c.NextChange(), release}
	notify(b.rearm)
}

// forget drops the mirror of a collection that no subscriber knows. b.mu is held.
func (b *bus) forget(o ccstore.Owner) {
	if m, ok := b.mirrors[o]; ok {
		m.release()
		delete(b.mirrors, o)
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

// announceTime announces what changed because time has passed, and drops the
// mirrors that no subscriber needs.
func (b *bus) announceTime() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for o, before := range b.mirrors {
		after := before.At(b.Clock.Now())
		switch {
		case !b.clients.want(o):
			b.forget(o)
		case before.Changes(after, before.next):
			b.send(before, after, nil)
		}
	}
}

// sleep returns how long nothing changes by itself.
func (b *bus) sleep() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	sleep, now := b.maxSleep, b.Clock.Now()
	for _, c := range b.mirrors {
		if c.next != 0 {
			sleep = min(sleep, max(0, time.Unix(c.next, 0).Sub(now)))
		}
	}
	return sleep
}
