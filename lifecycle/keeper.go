package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A Kept is a cache that a Keeper keeps filled from a keytab.
type Kept struct {
	Owner     ccstore.Owner
	Cache     string                 // its name
	Principal string                 // the client, with or without realm
	Keytab    func() ([]byte, error) // reads it, each time anew; the result is overwritten
}

// A Keeper keeps caches filled from keytabs: for services and batch users.
type Keeper struct {
	desk    *Desk
	log     *slog.Logger
	changed chan struct{} // receives after Set

	mu   sync.Mutex
	list []*keeping // replaced, never changed
}

// NewKeeper returns a keeper of caches that works at a desk.
func NewKeeper(desk *Desk, caches []Kept, log *slog.Logger) *Keeper {
	k := &Keeper{desk: desk, log: log, changed: make(chan struct{}, 1)}
	k.list = k.keepings(caches)
	desk.network.onBack(k.networkBack)
	return k
}

// Set has the keeper keep these caches from now on, in place of those before. A cache
// that has a ticket of its client gets the next one when that is due.
func (k *Keeper) Set(caches []Kept) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.list = k.keepings(caches)
	wakeUp(k.changed)
}

func (k *Keeper) keepings(caches []Kept) (list []*keeping) {
	for _, kept := range caches {
		list = append(list, &keeping{Kept: kept, desk: k.desk, log: k.log, wake: make(chan struct{}, 1), again: make(chan struct{}, 1)})
	}
	return list
}

func (k *Keeper) present() []*keeping {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.list
}

// Run keeps the caches filled until ctx is done, and then returns nil. It fails if it
// cannot get timers.
func (k *Keeper) Run(ctx context.Context) error {
	defer k.desk.store.Watch(k.noteEvent)()
	for ctx.Err() == nil {
		if err := k.runUntilChanged(ctx); err != nil {
			return err
		}
	}
	return nil
}

// runUntilChanged keeps the present caches filled until ctx is done or there are others.
func (k *Keeper) runUntilChanged(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	defer tasks.Wait()
	defer cancel()
	for _, kept := range k.present() {
		timer, err := k.desk.Clock.NewTimer()
		if err != nil {
			return err
		}
		tasks.Go(func() {
			defer timer.Close()
			kept.run(ctx, timer)
		})
	}
	select {
	case <-ctx.Done():
	case <-k.changed:
	}
	return nil
}

// networkBack has those try again at once that failed.
func (k *Keeper) networkBack(context.Context) {
	for _, kept := range k.present() {
		wakeUp(kept.again)
	}
}

// noteEvent wakes those whose collections changed.
func (k *Keeper) noteEvent(e ccstore.Event) {
	if len(e.Changes) == 0 {
		return
	}
	for _, kept := range k.present() {
		if kept.Owner == e.Owner && kept.lost(e) {
			wakeUp(kept.wake)
		}
	}
}

// A keeping is the work on one cache.
type keeping struct {
	Kept
	desk     *Desk
	log      *slog.Logger
	wake     chan struct{}
	again    chan struct{} // a pause after a failure ends
	failures int
	retry    time.Duration // by the boot clock: not before
}

// lost reports whether a change took the TGT away.
func (k *keeping) lost(e ccstore.Event) bool {
	had, err := e.Before.Cache(k.Cache)
	if err != nil || had.TGT() == nil {
		return false
	}
	has, err := e.After.Cache(k.Cache)
	return err != nil || has.TGT() == nil || !isClient(has, k.Principal)
}

func (k *keeping) run(ctx context.Context, timer clock.Timer) {
	for {
		if err := timer.Set(k.step(ctx)); err != nil {
			k.log.Error("cannot keep a cache filled", "owner", k.Owner, "cache", k.Cache, "err", err)
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-timer.C():
		case <-k.wake:
		case <-k.again:
			k.retry, k.failures = 0, 0
		}
	}
}

// step gets a ticket if it is time for that, and returns when to look again.
func (k *keeping) step(ctx context.Context) time.Time {
	now := k.desk.Clock.Now()
	if wait := k.retry - k.desk.Clock.Boot(); wait > 0 {
		return now.Add(wait)
	}
	if at, ok := k.due(ctx); ok && at.After(now) {
		return at
	}
	err := k.acquire(ctx)
	if ctx.Err() != nil {
		return now
	}
	pause := time.Second // so long at least, also if the tickets of the KDC do not last
	if err != nil {
		pause = min(firstPause<<min(k.failures, 16), mostPause)
		k.failures++
		if failure := (*kdc.Failure)(nil); errors.As(err, &failure) && failure.Reason == kdc.Unreachable {
			k.desk.network.unreachable()
		}
		k.log.Error("cannot get a ticket with a keytab, trying again", "owner", k.Owner, "cache", k.Cache, "principal", k.Principal, "err", err, "in", pause)
	} else {
		k.failures = 0
		k.log.Info("got a ticket with a keytab", "owner", k.Owner, "cache", k.Cache, "principal", k.Principal)
	}
	k.retry = k.desk.Clock.Boot() + pause
	now = k.desk.Clock.Now()
	if at, ok := k.due(ctx); err == nil && ok && at.After(now.Add(pause)) {
		return at
	}
	return now.Add(pause)
}

func (k *keeping) acquire(ctx context.Context) error {
	keytab, err := k.Keytab()
	if err != nil {
		return err
	}
	return k.desk.refill(ctx, k.Owner, k.Cache, k.Principal, keytab)
}

// due returns when the cache needs another ticket: at half of the life of the one that
// it has. It is false if it has none of the client.
func (k *keeping) due(ctx context.Context) (time.Time, bool) {
	c, err := k.desk.store.Latest(ctx, k.Owner)
	if err != nil {
		return time.Time{}, false
	}
	cache, err := c.Cache(k.Cache)
	if err != nil || cache.TGT() == nil || !isClient(cache, k.Principal) {
		return time.Time{}, false
	}
	tgt := cache.TGT()
	end, ok := tgt.Expires()
	if !ok {
		return k.desk.Clock.Now().AddDate(1, 0, 0), true
	}
	half := end.Add(-end.Sub(time.Unix(int64(tgt.Start()), 0)) / 2)
	return half.Add(-time.Duration(cache.KDCOffset) * time.Second), true
}
