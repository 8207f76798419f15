package lifecycle

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
)

// An alarm wakes a task at the deadlines of one kind.
type alarm struct {
	kind ccstore.DeadlineKind
	wake chan struct{} // receives when a cache has a deadline before next, or the task asks
	next atomic.Int64  // the first deadline that the task knows
}

func newAlarm(kind ccstore.DeadlineKind) *alarm {
	return &alarm{kind: kind, wake: make(chan struct{}, 1)}
}

// run calls task, sleeps until the time that it returns or until it is woken, and calls
// it again, until ctx is done. Then it returns nil. It fails if it cannot create or set
// a timer.
func (a *alarm) run(ctx context.Context, store *ccstore.Store, c clock.Clock, task func(context.Context) time.Time) error {
	timer, err := c.NewTimer()
	if err != nil {
		return err
	}
	defer timer.Close()
	defer store.Watch(a.noteEvent)()
	for {
		if err := timer.Set(task(ctx)); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C():
		case <-a.wake:
		}
	}
}

// noteEvent wakes the task if a changed cache has a deadline before the first that it
// knows.
func (a *alarm) noteEvent(e ccstore.Event) {
	var last uuid.UUID
	for _, change := range e.Changes {
		if change.Cache == last {
			continue // a cache often has many changes in a row
		}
		last = change.Cache
		cache, err := e.After.CacheByUUID(change.Cache)
		if err == nil && cache.Deadlines()[a.kind] < a.next.Load() {
			wakeUp(a.wake)
			return
		}
	}
}

// wakeUp sends to c, which has capacity 1, unless it holds a value already.
func wakeUp(c chan<- struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
