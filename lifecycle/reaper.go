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
)

// Options are what a Reaper may be told.
type Options struct {
	After  time.Duration // how long after its end a cache is kept
	Clock  clock.Clock   // default: clock.System
	Logger *slog.Logger  // default: none
}

// A Reaper removes caches whose tickets have ended long ago: expired, and past
// renewal. It sleeps until the store has one, and loads no other.
type Reaper struct {
	Options
	store *ccstore.Store
	wake  chan struct{} // there is an end before next
	next  atomic.Int64  // the first end that is known
}

// New returns a reaper of store.
func New(store *ccstore.Store, o Options) *Reaper {
	r := &Reaper{Options: o, store: store, wake: make(chan struct{}, 1)}
	if r.Clock == nil {
		r.Clock = clock.System{}
	}
	if r.Logger == nil {
		r.Logger = slog.New(slog.DiscardHandler)
	}
	store.Watch(r.notice)
	return r
}

// patience is how long the reaper waits before it tries again what it could
// not do.
const patience = time.Minute

// Run removes caches until ctx is done. It fails if there is no timer to be had.
func (r *Reaper) Run(ctx context.Context) error {
	timer, err := r.Clock.NewTimer()
	if err != nil {
		return err
	}
	defer timer.Close()
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

// notice wakes the reaper if a cache ends before all those that it knows.
func (r *Reaper) notice(e ccstore.Event) {
	var last uuid.UUID
	for _, change := range e.Changes {
		if change.Cache == last {
			continue // one cache often has many
		}
		last = change.Cache
		cache, err := e.After.CacheByUUID(change.Cache)
		if err == nil && cache.Ends() < r.next.Load() {
			select {
			case r.wake <- struct{}{}:
			default:
			}
			return
		}
	}
}

// batch is how many caches are listed at once.
const batch = 1000

// reap removes what is to be removed by now, and returns when to look again.
func (r *Reaper) reap(ctx context.Context) time.Time {
	now := r.Clock.Now()
	before := now.Add(-r.After).Unix()
	var last ccstore.Deadline
	for {
		due, err := r.store.Due(ctx, before, batch)
		switch {
		case err != nil:
			return r.later(ctx, err)
		case len(due) == 0:
			return r.nextTime(ctx)
		case due[0] == last: // it stays, whatever we do
			return now.Add(patience)
		}
		last = due[0]
		if err := r.reapAll(ctx, due, before); err != nil {
			return r.later(ctx, err)
		}
	}
}

// later says that err is in the way, and returns when to try again.
func (r *Reaper) later(ctx context.Context, err error) time.Time {
	if ctx.Err() == nil {
		r.Logger.Warn("cannot remove ended caches, trying again", "err", err, "in", patience)
	}
	return r.Clock.Now().Add(patience)
}

// nextTime returns when the cache that ends first is to be removed.
func (r *Reaper) nextTime(ctx context.Context) time.Time {
	// Whatever comes from here on wakes us, until we know what is the first.
	r.next.Store(math.MaxInt64)
	due, err := r.store.Due(ctx, ccstore.Never-1, 1)
	if err != nil {
		return r.later(ctx, err)
	}
	if len(due) == 0 {
		return r.Clock.Now().AddDate(1, 0, 0)
	}
	r.next.Store(due[0].Ends)
	return time.Unix(due[0].Ends, 0).Add(r.After)
}

// reapAll removes caches that ended before or at a time. One owner whose
// collection cannot be written does not keep the others from it. It returns the
// last error.
func (r *Reaper) reapAll(ctx context.Context, due []ccstore.Deadline, before int64) (failed error) {
	seen := make(map[ccstore.Owner]bool)
	for _, d := range due {
		if seen[d.Owner] || ctx.Err() != nil {
			continue
		}
		seen[d.Owner] = true
		if err := r.reapOwner(ctx, d.Owner, before); err != nil {
			failed = err
		}
	}
	return failed
}

func (r *Reaper) reapOwner(ctx context.Context, o ccstore.Owner, before int64) error {
	var gone []*ccstore.Cache
	err := r.store.Update(ctx, o, func(tx *ccstore.Tx) error {
		gone = tx.Reap(before)
		return nil
	})
	if err != nil {
		return err
	}
	for _, cache := range gone {
		r.Logger.Info("removed a cache that ended", "owner", o, "cache", cache.Name, "ended", time.Unix(cache.Ends(), 0))
	}
	return nil
}
