package lifecycle

import (
	"context"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/ratelog"
)

// A Reaper destroys caches that expired, or had no tickets, the store's
// ReapAfter ago. It sleeps until there is one, and loads no other.
type Reaper struct {
	store *ccstore.Store
	clock clock.Clock
	log   *slog.Logger
	lines *ratelog.Each[ccstore.Owner] // about what owners let expire
	wake  chan struct{}                // there is a deadline before next
	next  atomic.Int64                 // the first deadline that is known
}

// The lines about the caches of one owner: so many at once, and then one each second.
const (
	lineBurst = 20
	lineEvery = time.Second
)

// NewReaper returns a reaper of store, whose clock it shares.
func NewReaper(store *ccstore.Store, c clock.Clock, log *slog.Logger) *Reaper {
	return &Reaper{
		store: store, clock: c, log: log, wake: make(chan struct{}, 1),
		lines: ratelog.NewEach[ccstore.Owner](log, lineBurst, lineEvery),
	}
}

// retryAfter is how long the reaper waits before it tries again what failed.
const retryAfter = time.Minute

// Run reaps until ctx is done, and then returns nil. It fails if no timer can be
// had. It does nothing if the store keeps caches for ever.
func (r *Reaper) Run(ctx context.Context) error {
	if r.store.ReapAfter() == 0 {
		<-ctx.Done()
		return nil
	}
	timer, err := r.clock.NewTimer()
	if err != nil {
		return err
	}
	defer timer.Close()
	defer r.store.Watch(r.noteEvent)()
	for {
		if err := timer.Set(r.reap(ctx)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		case <-r.wake:
		}
	}
}

// noteEvent wakes the reaper if a changed cache has a deadline before all those that
// it knows.
func (r *Reaper) noteEvent(e ccstore.Event) {
	var last uuid.UUID
	for _, change := range e.Changes {
		if change.Cache == last {
			continue // a cache often has many changes in a row
		}
		last = change.Cache
		cache, err := e.After.CacheByUUID(change.Cache)
		if err == nil && cache.Deadlines()[ccstore.Reaping] < r.next.Load() {
			wakeUp(r.wake)
			return
		}
	}
}

// wakeUp sends to c, of capacity 1, unless a value waits there already.
func wakeUp(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// batch is how many deadlines are listed at once.
const batch = 1000

// reap destroys the caches that are due, and returns when to look again.
func (r *Reaper) reap(ctx context.Context) time.Time {
	now := r.clock.Now()
	if wait := r.store.Distrust(); wait > 0 {
		r.next.Store(math.MinInt64) // nothing is due before that
		return now.Add(wait)
	}
	until := now.Add(-r.store.ReapAfter()).Unix()
	var last ccstore.Deadline
	for {
		due, err := r.store.Due(ctx, ccstore.Reaping, math.MinInt64, until, batch)
		switch {
		case err != nil:
			return r.retry(ctx, err)
		case len(due) == 0:
			return r.nextTime(ctx)
		case due[0] == last: // it cannot be destroyed now
			return now.Add(retryAfter)
		}
		last = due[0]
		if err := r.reapAll(ctx, due, until); err != nil {
			return r.retry(ctx, err)
		}
	}
}

// retry logs err, and returns when to try again.
func (r *Reaper) retry(ctx context.Context, err error) time.Time {
	if ctx.Err() == nil {
		r.log.Warn("cannot reap caches, trying again", "err", err, "in", retryAfter)
	}
	return r.clock.Now().Add(retryAfter)
}

// nextTime returns when the first cache is to be reaped.
func (r *Reaper) nextTime(ctx context.Context) time.Time {
	r.next.Store(math.MaxInt64) // a change wakes us until the first deadline is known
	due, err := r.store.Due(ctx, ccstore.Reaping, math.MinInt64, ccstore.Never, 1)
	if err != nil {
		return r.retry(ctx, err)
	}
	if len(due) == 0 {
		return r.clock.Now().AddDate(1, 0, 0)
	}
	r.next.Store(due[0].At)
	return time.Unix(due[0].At, 0).Add(r.store.ReapAfter())
}

// reapAll reaps in the collections of all deadlines. One collection that cannot be
// written does not keep it from the others. It returns the last error.
func (r *Reaper) reapAll(ctx context.Context, due []ccstore.Deadline, until int64) (failed error) {
	seen := make(map[ccstore.Owner]bool)
	for _, d := range due {
		if seen[d.Owner] || ctx.Err() != nil {
			continue
		}
		seen[d.Owner] = true
		if err := r.reapOwner(ctx, d.Owner, until); err != nil {
			failed = err
		}
	}
	return failed
}

// reapOwner writes at most one line to the log, however many caches go.
func (r *Reaper) reapOwner(ctx context.Context, o ccstore.Owner, until int64) error {
	var gone []*ccstore.Cache
	err := r.store.Update(ctx, o, func(tx *ccstore.Tx) error {
		gone = tx.Reap(until)
		return nil
	})
	if err == nil && len(gone) > 0 {
		r.lines.Info(o, "reaped caches", "owner", o, "count", len(gone), "first", gone[0].Name,
			"unused_since", time.Unix(gone[0].Deadlines()[ccstore.Reaping], 0))
	}
	return err
}
