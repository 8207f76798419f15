package lifecycle

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A KDC does what it is asked for; kdc.Client is one. A refusal is a *kdc.Failure.
type KDC interface {
	Do(ctx context.Context, r *kdc.Request) (*kdc.Reply, error)
}

// A Desk has the KDC exchange TGTs in a store for others. Its methods may be called by
// several goroutines at once.
type Desk struct {
	store *ccstore.Store
	DeskOptions
	network *Network
	helpers *budget.Pool
	visits  *budget.Pool // calls under way or waiting
	mu      sync.Mutex
	rates   map[budget.Account]*allowance
}

// DeskOptions configures a Desk.
type DeskOptions struct {
	KDC     KDC
	Clock   clock.Clock
	Logger  *slog.Logger
	Helpers budget.Bounds // requests to KDCs under way
}

// NewDesk returns a desk for store.
func NewDesk(store *ccstore.Store, o DeskOptions) *Desk {
	d := &Desk{store: store, DeskOptions: o, helpers: budget.NewPool("helpers", o.Helpers), visits: budget.NewPool("visits", atDesk), rates: make(map[budget.Account]*allowance)}
	d.network = newNetwork(d)
	return d
}

// SetHelpers sets other limits of requests to KDCs under way.
func (d *Desk) SetHelpers(b budget.Bounds) { d.helpers.SetLimits(b) }

// Network returns what watches the network for those who work at the desk.
func (d *Desk) Network() *Network { return d.network }

// account returns who is charged for work on the caches of owner.
func account(o ccstore.Owner) budget.Account {
	a := budget.Account{Namespace: o.Namespace, UID: o.UID}
	if a.Namespace == ccstore.DefaultNamespace {
		a.Namespace = ""
	}
	return a
}

// Renew has the KDC renew the TGT of a cache, puts the new one in its place, and
// announces it (ccstore.Renewed). A failure is noted with the cache and announced
// (ccstore.RenewalFailed), and returned. It fails with ccstore.ErrNoCache.
func (d *Desk) Renew(ctx context.Context, owner ccstore.Owner, cache uuid.UUID) (*ccstore.Credential, error) {
	release, err := d.admit(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer release()
	return d.renew(ctx, owner, cache)
}

// renew does what Renew does, for an owner who may ask a KDC.
func (d *Desk) renew(ctx context.Context, owner ccstore.Owner, id uuid.UUID) (*ccstore.Credential, error) {
	cache, old, err := d.tgt(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	next, err := d.exchange(ctx, owner, cache, old, kdc.Renew)
	if failure := (*kdc.Failure)(nil); errors.As(err, &failure) && failure.Reason != kdc.Superseded {
		d.noteFailure(ctx, owner, cache, old, failure)
	}
	return next, err
}

// Validate has the KDC validate the postdated TGT of a cache, and puts the valid one in
// its place. It fails with ccstore.ErrNoCache.
func (d *Desk) Validate(ctx context.Context, owner ccstore.Owner, id uuid.UUID) (*ccstore.Credential, error) {
	release, err := d.admit(ctx, owner)
	if err != nil {
		return nil, err
	}
	defer release()
	cache, old, err := d.tgt(ctx, owner, id)
	if err != nil {
		return nil, err
	}
	return d.exchange(ctx, owner, cache, old, kdc.Validate)
}

var noTGT = &kdc.Failure{Reason: kdc.NoTGT, Text: "the cache has no ticket-granting ticket"}

// tgt returns a cache and its TGT.
func (d *Desk) tgt(ctx context.Context, owner ccstore.Owner, id uuid.UUID) (*ccstore.Cache, *ccstore.Credential, error) {
	c, err := d.store.Latest(ctx, owner)
	if err != nil {
		return nil, nil, err
	}
	cache, err := c.CacheByUUID(id)
	if err != nil {
		return nil, nil, err
	}
	tgt := cache.TGT()
	if tgt == nil {
		return nil, nil, noTGT
	}
	return cache, tgt, nil
}

// maxTGT is the longest TGT that is sent to a KDC, in bytes: a KDC does not answer to a
// request of a megabyte.
const maxTGT = 192 << 10

// obstacle returns why the KDC need not be asked.
func obstacle(op kdc.Op, tgt *ccache.Credential, now time.Time) *kdc.Failure {
	state := tgt.State(now, 0)
	switch {
	case len(tgt.Bytes()) > maxTGT:
		return &kdc.Failure{Reason: kdc.NotRenewable, Text: fmt.Sprintf("the ticket has %d bytes; allowed: %d", len(tgt.Bytes()), maxTGT)}
	case state == ccache.Expired:
		return &kdc.Failure{Reason: kdc.Expired, Text: "the ticket has expired"}
	case state == ccache.NotYetValid:
		return &kdc.Failure{Reason: kdc.NotYetValid, Text: "the ticket is not yet valid"}
	case op == kdc.Verify && state == ccache.Invalid:
		return &kdc.Failure{Reason: kdc.NotYetValid, Text: "the ticket must be validated first"}
	case op == kdc.Validate && state != ccache.Invalid:
		return &kdc.Failure{Reason: kdc.NotSupported, Text: "the ticket is valid already"}
	case op == kdc.Renew && state == ccache.Invalid:
		return &kdc.Failure{Reason: kdc.NotYetValid, Text: "the ticket must be validated first"}
	case op == kdc.Renew && tgt.Flags&ccache.FlagRenewable == 0:
		return &kdc.Failure{Reason: kdc.NotRenewable, Text: "the ticket is not renewable"}
	case op == kdc.Renew && !ccstore.Renewable(tgt):
		return &kdc.Failure{Reason: kdc.NotRenewable, Text: "the ticket cannot last longer than it does"}
	}
	return nil
}

// exchange has the KDC exchange a TGT, and puts the new one in its place.
func (d *Desk) exchange(ctx context.Context, owner ccstore.Owner, cache *ccstore.Cache, old *ccstore.Credential, op kdc.Op) (*ccstore.Credential, error) {
	if failure := obstacle(op, old.Credential, cache.KDCTime(d.Clock.Now())); failure != nil {
		return nil, failure
	}
	reply, err := d.KDC.Do(ctx, &kdc.Request{Op: op, KDCOffset: cache.KDCOffset, TGT: old.Credential})
	if err != nil {
		return nil, err
	}
	next := reply.TGT()
	if failure := d.unfit(op, cache, old.Credential, next); failure != nil {
		return nil, failure
	}
	var stored *ccstore.Credential
	err = d.store.Update(ctx, owner, func(tx *ccstore.Tx) (err error) {
		stored, err = tx.Renew(cache.UUID, old.UUID, next)
		return err
	})
	if errors.Is(err, ccstore.ErrNoCredential) {
		return nil, &kdc.Failure{Reason: kdc.Superseded, Text: "the ticket was replaced meanwhile"}
	}
	if err != nil {
		return nil, err
	}
	d.announce(ctx, owner, ccstore.Notice{Kind: ccstore.Renewed, Cache: cache.UUID, Credential: stored, Former: old.UUID})
	return stored, nil
}

// unfit returns why a ticket from the KDC is no use in the place of another one.
func (d *Desk) unfit(op kdc.Op, cache *ccstore.Cache, old, next *ccache.Credential) *kdc.Failure {
	switch {
	case next == nil || !next.Client.Equal(old.Client) || !next.Server.Equal(old.Server):
		return &kdc.Failure{Reason: kdc.Broken, Text: "the KDC helper has no such ticket"}
	case next.IsExpired(cache.KDCTime(d.Clock.Now())):
		return &kdc.Failure{Reason: kdc.Refused, Text: "the KDC gave a ticket that has expired"}
	case op == kdc.Renew && next.EndTime < old.EndTime:
		return &kdc.Failure{Reason: kdc.Refused, Text: "the KDC gave a ticket that ends earlier"}
	}
	return nil
}

// announce has the store announce a notice, if its ticket is still the TGT.
func (d *Desk) announce(ctx context.Context, owner ccstore.Owner, n ccstore.Notice) {
	err := d.store.Announce(ctx, owner, func(c *ccstore.Collection) []ccstore.Notice {
		cache, err := c.CacheByUUID(n.Cache)
		if err != nil || cache.TGT() != n.Credential {
			return nil
		}
		return []ccstore.Notice{n}
	})
	if err != nil {
		d.Logger.Debug("cannot announce a renewal", "owner", owner, "err", err)
	}
}

// noteFailure notes with the cache that its TGT could not be renewed.
func (d *Desk) noteFailure(ctx context.Context, owner ccstore.Owner, cache *ccstore.Cache, tgt *ccstore.Credential, f *kdc.Failure) {
	r := cache.TGTRenewal()
	r.Reason, r.Text = string(f.Reason), f.Text
	r.Failures++
	r.Next = ccstore.Never
	if at, ok := nextAttempt(cache, tgt, r.Failures, d.Clock.Now()); ok && !f.Reason.Final() {
		r.Next = at.Unix()
	}
	d.note(ctx, owner, cache, tgt, r)
}

// noteOutage notes with the cache that no KDC of its realm answers others, and that its
// TGT waits for so long.
func (d *Desk) noteOutage(ctx context.Context, owner ccstore.Owner, cache *ccstore.Cache, tgt *ccstore.Credential, wait time.Duration) {
	r := cache.TGTRenewal()
	r.Reason, r.Text = string(kdc.Unreachable), "no KDC of the realm answers"
	r.Next = d.Clock.Now().Add(wait + time.Second - 1).Unix()
	d.note(ctx, owner, cache, tgt, r)
}

// note stores how the renewal of a TGT goes, after a failure, and announces it.
func (d *Desk) note(ctx context.Context, owner ccstore.Owner, cache *ccstore.Cache, tgt *ccstore.Credential, r ccstore.Renewal) {
	r.Ticket = tgt.UUID
	err := d.store.Update(ctx, owner, func(tx *ccstore.Tx) error { return tx.SetRenewal(cache.UUID, r) })
	switch {
	case err == nil:
		d.announce(ctx, owner, ccstore.Notice{Kind: ccstore.RenewalFailed, Cache: cache.UUID, Credential: tgt,
			Reason: r.Reason, Text: r.Text, Next: r.Next})
	case !errors.Is(err, ccstore.ErrNoCache) && !errors.Is(err, ccstore.ErrNoCredential):
		d.Logger.Debug("cannot note a failed renewal", "owner", owner, "err", err)
	}
}

// The pause before another attempt doubles with each failure, within these bounds.
const (
	firstPause = 30 * time.Second
	mostPause  = 10 * time.Minute
)

// nextAttempt returns when to try again after so many failures. It is false if the
// ticket expires before.
func nextAttempt(cache *ccstore.Cache, tgt *ccstore.Credential, failures int, now time.Time) (time.Time, bool) {
	end, ok := tgt.Expires()
	if !ok {
		return time.Time{}, false
	}
	left := end.Sub(cache.KDCTime(now))
	pause := firstPause << min(failures-1, 16)
	pause = max(time.Second, min(pause, mostPause, left/4)) // a ticket near its end is tried more often
	return now.Add(pause + time.Second - 1).Truncate(time.Second), pause < left
}

// An allowance is how often an account may ask a KDC now.
type allowance struct {
	left float64
	at   time.Duration // by the boot clock, when that was so
}

// An account may ask a KDC so many times at once, and then so many times a second.
const (
	burst     = 60
	perSecond = 1
)

var busy = &kdc.Failure{Reason: kdc.Busy, Text: "too many requests to the KDC; try again later"}

// atDesk bounds the calls of users that are under way or wait for a helper.
var atDesk = budget.Bounds{Account: 8, Whole: 64, Reserve: 2}

// admit takes a helper for owner, who gives it back by release. Some calls wait for one.
func (d *Desk) admit(ctx context.Context, owner ccstore.Owner) (release func(), err error) {
	leave, err := d.enter(owner)
	if err != nil {
		return nil, err
	}
	giveBack, err := d.takeHelper(ctx, owner)
	if err != nil {
		leave()
		return nil, err
	}
	return func() {
		giveBack()
		leave()
	}, nil
}

// enter counts a call of owner until leave is called.
func (d *Desk) enter(owner ccstore.Owner) (leave func(), err error) {
	a := account(owner)
	if d.visits.Take(a, 1) != nil {
		return nil, busy
	}
	if !d.allow(a) {
		d.visits.Give(a, 1)
		return nil, busy
	}
	return func() { d.visits.Give(a, 1) }, nil
}

// takeHelper waits for a helper, which is given back by release.
func (d *Desk) takeHelper(ctx context.Context, owner ccstore.Owner) (release func(), err error) {
	a := account(owner)
	if err := d.helpers.Wait(ctx, a, 1, 0); err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		return nil, busy
	}
	return func() { d.helpers.Give(a, 1) }, nil
}

// allow reports whether an account may ask a KDC now, and counts that it does.
func (d *Desk) allow(a budget.Account) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.Clock.Boot()
	r := d.rates[a]
	if r == nil {
		for other, r := range d.rates { // those who are as good as new
			if r.after(now) >= burst {
				delete(d.rates, other)
			}
		}
		r = &allowance{left: burst, at: now}
		d.rates[a] = r
	}
	if r.left, r.at = r.after(now), now; r.left < 1 {
		return false
	}
	r.left--
	return true
}

func (r *allowance) after(now time.Duration) float64 {
	return min(burst, r.left+perSecond*(now-r.at).Seconds())
}
