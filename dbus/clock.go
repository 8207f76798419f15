package dbus

import (
	"fmt"
	"runtime/debug"
	"time"
)

// gathering is how long changes are gathered before they are announced: a kinit
// makes several, and 10,000 tickets stored are not 10,000 signals.
const gathering = 100 * time.Millisecond

// maxSleep is the longest sleep until somebody looks at the clock again. Timers
// count the time that the machine runs: they stand still while it is suspended,
// and do not notice when somebody sets the clock.
const maxSleep = time.Minute

// keepAnnouncing announces what the store changes, and what time changes, until
// the connection ends.
func (b *bus) keepAnnouncing() {
	// Nobody knows what was announced when this fails half way. Without a
	// connection nobody relies on it.
	defer func() {
		if r := recover(); r != nil {
			b.Logger.Error("announcing panicked", "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			b.link.Close()
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
			b.announcePending()
		case <-clock.C:
			b.announceTime()
		case <-b.rearm:
		}
		clock.Reset(b.sleep())
	}
}

// announcePending announces what was gathered.
func (b *bus) announcePending() {
	b.mu.Lock()
	defer b.mu.Unlock()
	batch := b.pending.take()
	defer close(batch.done)
	for uid, ch := range batch.byUID {
		if !b.wanted(uid) {
			delete(b.mirrors, uid)
			continue
		}
		before, ok := b.mirrors[uid]
		if !ok {
			before = b.newCollection(ch.before)
		}
		// A collection that was read meanwhile may be ahead of the events.
		if ch.after.Revision() > before.Revision() {
			b.announce(before, b.newCollection(ch.after), ch)
		}
	}
}

// announceTime announces what changed because time has passed, and forgets the
// mirrors that nobody needs any more.
func (b *bus) announceTime() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for uid, before := range b.mirrors {
		switch after := b.newCollection(before.Collection); {
		case !b.wanted(uid):
			delete(b.mirrors, uid)
		case before.due(after.at):
			b.announce(before, after, nil)
		}
	}
}

// due reports whether c, a mirror, may read differently at now: something changes by itself
// until then, or somebody has set the clock back.
func (c collection) due(now int64) bool {
	return now < c.at || c.next != 0 && c.next <= now
}

// sleep returns how long nothing changes by itself.
func (b *bus) sleep() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	sleep, now := b.maxSleep, b.Now()
	for _, c := range b.mirrors {
		if c.next != 0 {
			sleep = min(sleep, max(0, time.Unix(c.next, 0).Sub(now)))
		}
	}
	return sleep
}
