package lifecycle

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/clock"
)

// An Announcer has the store announce when the TGT of a cache becomes valid, is
// about to expire, and expires (ccstore.Notice), in the collections that are held
// (Store.Hold). It sleeps until one does.
type Announcer struct {
	store *ccstore.Store
	AnnouncerOptions
	wake chan struct{} // an owner was noted

	mu     sync.Mutex
	owners map[ccstore.Owner]*tracked // whose collections are held
}

// AnnouncerOptions configures an Announcer.
type AnnouncerOptions struct {
	Clock   clock.Clock
	Warning time.Duration // a TGT is ccache.Expiring so long before its end
	Logger  *slog.Logger
}

// A tracked is the known state of the TGTs in one collection.
type tracked struct {
	since   time.Time              // with Announcer.mu: the first event that due has not seen, or zero
	from    time.Time              // the first event that step has not seen, or zero
	next    time.Time              // when a TGT next changes its state, or zero
	tickets map[uuid.UUID]progress // by the credential
}

// progress is how far a TGT has come in its life.
type progress struct {
	state ccache.State // when last looked at
	rank  int          // of the furthest state; see rank
}

// rank orders the states as a ticket goes through them.
func rank(s ccache.State) int { return slices.Index(ccache.States, s) }

// NewAnnouncer returns an announcer for store.
func NewAnnouncer(store *ccstore.Store, o AnnouncerOptions) *Announcer {
	return &Announcer{
		store: store, AnnouncerOptions: o,
		wake: make(chan struct{}, 1), owners: make(map[ccstore.Owner]*tracked),
	}
}

// Run announces until ctx is done, and then returns nil. It fails if it cannot get
// a timer.
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
			all = false
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

// noteEvent notes a collection if one of its TGTs, or the KDC's time, changed.
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

// announce announces what happened in the collections that were noted or are due,
// or in all, and returns when the next one is due.
func (a *Announcer) announce(ctx context.Context, all bool) time.Time {
	now := a.Clock.Now()
	for owner, t := range a.due(now, all) {
		err := a.store.Announce(ctx, owner, func(c *ccstore.Collection) []ccstore.Notice {
			return t.step(c, now, a.Warning)
		})
		if err != nil {
			a.Logger.Debug("cannot announce the expiry of tickets, trying again", "owner", owner, "err", err, "in", retryAfter)
			t.next = now.Add(retryAfter)
		}
	}
	return a.nextTime(now)
}

// due returns the collections to look at.
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

// step returns notices of the TGTs of a collection whose state changed until now. It
// begins with the state of an unknown ticket at the first event that it has not seen.
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

// wakeAt notes that the collection is due at a time.
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
