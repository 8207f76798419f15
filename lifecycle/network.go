package lifecycle

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A Network watches the routes of the machine while KDCs cannot be reached, and then has
// those asked again at once that could not be.
type Network struct {
	desk *Desk
	wake chan struct{}
	end  atomic.Int64 // of the watch by the boot clock, in nanoseconds

	mu   sync.Mutex
	back []func(context.Context) // are called when the routes have changed
}

// watchFor is how long the routes are watched after a KDC could not be reached. Whoever
// tries again does so earlier.
const watchFor = mostPause + 2*time.Minute

func newNetwork(desk *Desk) *Network { return &Network{desk: desk, wake: make(chan struct{}, 1)} }

// onBack has f called when the routes have changed.
func (n *Network) onBack(f func(context.Context)) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.back = append(n.back, f)
}

// unreachable notes that a KDC cannot be reached.
func (n *Network) unreachable() {
	n.end.Store(int64(n.desk.Clock.Boot() + watchFor))
	wakeUp(n.wake)
}

func (n *Network) watching() bool { return int64(n.desk.Clock.Boot()) < n.end.Load() }

// Run watches until ctx is done, and then returns nil.
func (n *Network) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
			n.watch(ctx)
		}
	}
}

// watch watches as long as that is of use.
func (n *Network) watch(ctx context.Context) {
	known := ""
	for n.watching() && ctx.Err() == nil {
		reply, err := n.desk.KDC.Do(ctx, &kdc.Request{Op: kdc.Network, Routes: known})
		if ctx.Err() != nil {
			return
		}
		if err != nil {
			n.desk.Logger.Debug("cannot watch the routes of the machine", "err", err)
			if failure := (*kdc.Failure)(nil); errors.As(err, &failure) && failure.Reason == kdc.NotSupported {
				n.end.Store(0)
				return
			}
			select {
			case <-ctx.Done():
			case <-time.After(retryAfter):
			}
			continue
		}
		if known != "" && reply.Routes != known {
			n.desk.Logger.Debug("the routes of the machine have changed: asking KDCs again that could not be reached")
			n.mu.Lock()
			back := n.back
			n.mu.Unlock()
			for _, f := range back {
				f(ctx)
			}
		}
		if known == "" {
			n.desk.Logger.Debug("watching the routes of the machine until KDCs can be reached")
		}
		known = reply.Routes
	}
}

// networkBack has the tickets renewed now that wait because no KDC could be reached.
func (r *Renewer) networkBack(ctx context.Context) {
	r.mu.Lock()
	clear(r.outages)
	clear(r.rests)
	clear(r.held)
	r.mu.Unlock()
	now := r.desk.Clock.Now().Unix()
	for after := now; ; {
		due, err := r.desk.store.Due(ctx, ccstore.Renewing, after, now+int64(watchFor/time.Second), batch)
		if err != nil {
			r.log.Debug("cannot find out which tickets to renew now", "err", err)
		}
		for _, d := range due {
			r.expedite(ctx, d, now)
		}
		if len(due) < batch {
			break
		}
		after = due[len(due)-1].At // those at this very time may be left: they are due soon
	}
	wakeUp(r.alarm.wake)
}

// expedite makes a renewal due that waits because no KDC could be reached.
func (r *Renewer) expedite(ctx context.Context, d ccstore.Deadline, now int64) {
	cache, tgt, err := r.desk.tgt(ctx, d.Owner, d.Cache)
	if err != nil {
		return
	}
	next := cache.TGTRenewal()
	if next.Ticket != tgt.UUID || next.Reason != string(kdc.Unreachable) || next.Next <= now {
		return
	}
	next.Next, next.Failures = now, 0
	err = r.desk.store.Update(ctx, d.Owner, func(tx *ccstore.Tx) error { return tx.SetRenewal(d.Cache, next) })
	if err != nil {
		r.log.Debug("cannot renew a ticket earlier", "owner", d.Owner, "err", err)
	}
}
