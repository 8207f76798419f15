package lifecycle

import (
	"context"
	"log/slog"
	"math"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/ratelog"
)

// A Reaper destroys a cache that has been expired, or without tickets, for the
// store's ReapAfter. It sleeps until the first deadline, and loads only collections
// in which a cache is due.
type Reaper struct {
	store *ccstore.Store
	clock clock.Clock
	log   *slog.Logger
	lines *ratelog.Each[ccstore.Owner] // about reaped caches
	alarm *alarm
}

// The log lines about the caches of one owner: a burst, then one each second.
const (
	lineBurst = 20
	lineEvery = time.Second
)

// NewReaper returns a reaper for store. c must be the clock of the store.
func NewReaper(store *ccstore.Store, c clock.Clock, log *slog.Logger) *Reaper {
	return &Reaper{
		store: store, clock: c, log: log, alarm: newAlarm(ccstore.Reaping),
		lines: ratelog.NewEach[ccstore.Owner](log, lineBurst, lineEvery),
	}
}

// Wake has the reaper look again, after SetReapAfter of the store.
func (r *Reaper) Wake() { wakeUp(r.alarm.wake) }

// retryAfter is the wait after a failure.
const retryAfter = time.Minute

// Run reaps until ctx is done, and then returns nil. It fails if it cannot create
// or set a timer. It does nothing while the store keeps caches for ever.
func (r *Reaper) Run(ctx context.Context) error {
	return r.alarm.run(ctx, r.store, r.clock, r.reap)
}

// batch limits the deadlines of one query.
const batch = 1000

// reap destroys the caches that are due, and returns when to look again.
func (r *Reaper) reap(ctx context.Context) time.Time {
	now := r.clock.Now()
	keep := r.store.ReapAfter()
	if keep == 0 {
		r.alarm.next.Store(math.MinInt64)
		return now.AddDate(1, 0, 0)
	}
	if wait := r.store.Distrust(); wait > 0 {
		r.alarm.next.Store(math.MinInt64) // so that no event wakes the reaper
		return now.Add(wait)
	}
	until := now.Add(-keep).Unix()
	var last ccstore.Deadline
	for {
		due, err := r.store.Due(ctx, ccstore.Reaping, math.MinInt64, until, batch)
		switch {
		case err != nil:
			return r.retry(ctx, err)
		case len(due) == 0:
			return r.nextTime(ctx)
		case due[0] == last: // it was not destroyed
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

// nextTime returns when the next cache is due.
func (r *Reaper) nextTime(ctx context.Context) time.Time {
	r.alarm.next.Store(math.MaxInt64) // each event wakes the reaper until the query is done
	due, err := r.store.Due(ctx, ccstore.Reaping, math.MinInt64, ccstore.Never, 1)
	if err != nil {
		return r.retry(ctx, err)
	}
	if len(due) == 0 {
		return r.clock.Now().AddDate(1, 0, 0)
	}
	r.alarm.next.Store(due[0].At)
	return time.Unix(due[0].At, 0).Add(r.store.ReapAfter())
}

// reapAll reaps in each collection that has a deadline in due. After a failure it
// goes on with the other collections; it returns the last error.
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

// reapOwner reaps in one collection. It logs at most one line for all its caches.
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
