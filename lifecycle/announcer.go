package lifecycle

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/clock"
)

// An Announcer publishes a ccstore.Notice through the store when the TGT of a cache
// becomes valid, is about to expire, or expires. It looks only at held collections
// (Store.Hold), and sleeps until the next such time.
type Announcer struct {
	store *ccstore.Store
	AnnouncerOptions
	wake    chan struct{} // receives when there is a collection to look at
	warning atomic.Int64  // AnnouncerOptions.Warning, or what SetWarning set
	again   atomic.Bool   // look at all collections

	mu     sync.Mutex
	owners map[ccstore.Owner]*tracked // the held collections
}

// AnnouncerOptions configures an Announcer.
type AnnouncerOptions struct {
	Clock   clock.Clock
	Warning time.Duration // how long before its end a TGT becomes ccache.Expiring
	Logger  *slog.Logger
}

// A tracked is the known state of the TGTs in one collection.
type tracked struct {
	since   time.Time              // of the first event since due returned the collection, or zero; guarded by Announcer.mu
	from    time.Time              // of the first event that step has not processed, or zero
	next    time.Time              // when a TGT next changes its state, or zero
	tickets map[uuid.UUID]progress // by the UUID of the credential
}

// progress records which states a TGT has reached.
type progress struct {
	state ccache.State // at the last look
	rank  int          // the highest rank of its states so far
}

// rank returns the position of a state in the life of a ticket.
func rank(s ccache.State) int { return slices.Index(ccache.States, s) }

// NewAnnouncer returns an announcer for store.
func NewAnnouncer(store *ccstore.Store, o AnnouncerOptions) *Announcer {
	a := &Announcer{
		store: store, AnnouncerOptions: o,
		wake: make(chan struct{}, 1), owners: make(map[ccstore.Owner]*tracked),
	}
	a.warning.Store(int64(o.Warning))
	return a
}

// SetWarning sets how long before its end a TGT becomes ccache.Expiring, and announces
// those of which that becomes true.
func (a *Announcer) SetWarning(warning time.Duration) {
	a.warning.Store(int64(warning))
	a.again.Store(true)
	wakeUp(a.wake)
}

// Run announces until ctx is done, and then returns nil. It fails if it cannot
// create or set a timer.
func (a *Announcer) Run(ctx context.Context) error {
	timer, err := a.Clock.NewTimer()
	if err != nil {
		return err
	}
	defer timer.Close()
	defer a.store.Watch(a.noteEvent)()
	defer a.store.WatchHolds(a.noteHold)()
	all := false
	for {
		next := a.announce(ctx, all)
		if err := timer.Set(next); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
			all = a.Clock.Now().Before(next) // the clock was set
		case <-a.wake:
			all = a.again.Swap(false)
		}
	}
}

// noteHold tracks a collection while it is held.
func (a *Announcer) noteHold(owner ccstore.Owner, held bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !held {
		delete(a.owners, owner)
		return
	}
	a.owners[owner] = &tracked{since: a.Clock.Now()}
	wakeUp(a.wake)
}

// noteEvent has announce look at a held collection if the event may have changed a
// TGT or a KDC offset.
func (a *Announcer) noteEvent(e ccstore.Event) {
	if !slices.ContainsFunc(e.Changes, mayMoveTGT) {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if t := a.owners[e.Owner]; t != nil && t.since.IsZero() {
		t.since = a.Clock.Now()
		wakeUp(a.wake)
	}
}

func mayMoveTGT(c ccstore.Change) bool {
	return c.Kind == ccstore.CacheChanged || c.Credential != nil && c.Credential.IsTGT()
}

// announce publishes notices for the collections that have new events or are due,
// or for all, and returns when the next one is due.
func (a *Announcer) announce(ctx context.Context, all bool) time.Time {
	now := a.Clock.Now()
	for owner, t := range a.due(now, all) {
		err := a.store.Announce(ctx, owner, func(c *ccstore.Collection) []ccstore.Notice {
			return t.step(c, now, time.Duration(a.warning.Load()))
		})
		if err != nil {
			a.Logger.Debug("cannot announce the expiry of tickets, trying again", "owner", owner, "err", err, "in", retryAfter)
			t.next = now.Add(retryAfter)
		}
	}
	return a.nextTime(now)
}

// due returns the collections that announce must look at.
func (a *Announcer) due(now time.Time, all bool) map[ccstore.Owner]*tracked {
	a.mu.Lock()
	defer a.mu.Unlock()
	list := make(map[ccstore.Owner]*tracked)
	for owner, t := range a.owners {
		if all || !t.since.IsZero() || !t.next.IsZero() && !now.Before(t.next) {
			if t.from.IsZero() {
				t.from = t.since
			}
			t.since = time.Time{}
			list[owner] = t
		}
	}
	return list
}

// step returns a notice for each TGT of a collection whose state has changed. For a
// ticket that it sees for the first time, it compares with the state at the first
// event that it has not processed.
func (t *tracked) step(c *ccstore.Collection, now time.Time, warning time.Duration) (notices []ccstore.Notice) {
	from := t.from
	if from.IsZero() {
		from = now
	}
	before := t.tickets
	t.tickets, t.next, t.from = make(map[uuid.UUID]progress), time.Time{}, time.Time{}
	for _, cache := range c.Caches() {
		tgt := cache.TGT()
		if tgt == nil {
			continue
		}
		p, known := before[tgt.UUID]
		if !known {
			p.state = tgt.State(cache.KDCTime(from), warning)
			p.rank = rank(p.state)
		}
		state := tgt.State(cache.KDCTime(now), warning)
		if state != p.state {
			notices = append(notices, ccstore.Notice{
				Cache: cache.UUID, Credential: tgt, State: state, Again: rank(state) <= p.rank,
			})
		}
		t.tickets[tgt.UUID] = progress{state, max(p.rank, rank(state))}
		if at, ok := tgt.NextChange(cache.KDCTime(now), warning); ok {
			t.wakeAt(now.Add(at.Sub(cache.KDCTime(now))))
		}
	}
	return notices
}

// wakeAt makes the collection due at a time, if it is not due earlier.
func (t *tracked) wakeAt(at time.Time) {
	if t.next.IsZero() || at.Before(t.next) {
		t.next = at
	}
}

// nextTime returns when the first collection is due.
func (a *Announcer) nextTime(now time.Time) time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	next := now.AddDate(1, 0, 0)
	for _, t := range a.owners {
		if !t.next.IsZero() && t.next.Before(next) {
			next = t.next
		}
	}
	return next
}
