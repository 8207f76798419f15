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
	b.announceBatch()
}

// announceBatch announces what was gathered. b.mu is held.
func (b *bus) announceBatch() {
	batch := b.pending.take()
	defer close(batch.done)
	for o, ch := range batch.byOwner {
		if !b.wanted(o) {
			delete(b.mirrors, o)
			continue
		}
		b.announceChanges(o, ch)
	}
}

// announceTime announces what changed because time has passed, and forgets the
// mirrors that nobody needs any more.
func (b *bus) announceTime() {
	b.mu.Lock()
	defer b.mu.Unlock()
	for o, before := range b.mirrors {
		after := b.newCollection(before.Collection)
		after.since = before.since
		switch {
		case !b.wanted(o):
			delete(b.mirrors, o)
		case before.due(after.at):
			b.announce(before, after, nil, everyRecipient)
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
	sleep, now := b.maxSleep, b.Clock.Now()
	for _, c := range b.mirrors {
		if c.next != 0 {
			sleep = min(sleep, max(0, time.Unix(c.next, 0).Sub(now)))
		}
	}
	return sleep
}
