package lifecycle

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/ratelog"
)

// A Renewer renews TGTs when they are due (ccstore.Cache.RenewalDue). It sleeps until
// one is.
type Renewer struct {
	desk  *Desk
	log   *slog.Logger
	lines *ratelog.Each[ccstore.Owner]
	alarm *alarm // its first deadline is of a renewal that is not under way
	tasks sync.WaitGroup

	mu      sync.Mutex
	mode    RenewerOptions
	running map[uuid.UUID]*renewal          // by cache
	owners  map[ccstore.Owner]bool          // who have one running
	realms  map[string]int                  // running
	outages map[string]*outage              // by realm
	held    map[uuid.UUID]hold              // by cache: what is not tried for a while
	rests   map[ccstore.Owner]time.Duration // until when by the boot clock an owner waits
	began   time.Time                       // when the last one began
}

// RenewerOptions configures a Renewer.
type RenewerOptions struct {
	Parallel int // renewals at once, one for each owner
	Logger   *slog.Logger
	Off      bool // none are renewed

	// Active reports whether the TGTs of an owner are to be renewed now. Default: always.
	Active func(ccstore.Owner) bool
}

// A renewal is one under way.
type renewal struct {
	owner  ccstore.Owner
	cache  uuid.UUID
	ticket uuid.UUID // the TGT
	realm  string
}

// NewRenewer returns a renewer that works at a desk.
func NewRenewer(desk *Desk, o RenewerOptions) *Renewer {
	r := &Renewer{
		desk: desk, log: o.Logger, mode: o, alarm: newAlarm(ccstore.Renewing),
		lines:   ratelog.NewEach[ccstore.Owner](o.Logger, lineBurst, lineEvery),
		running: make(map[uuid.UUID]*renewal), owners: make(map[ccstore.Owner]bool), realms: make(map[string]int),
		outages: make(map[string]*outage), held: make(map[uuid.UUID]hold), rests: make(map[ccstore.Owner]time.Duration),
	}
	desk.network.onBack(r.networkBack)
	return r
}

// Reconfigure has other options, but for the logger, hold from now on. Renewals under way
// go on.
func (r *Renewer) Reconfigure(o RenewerOptions) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mode = o
	wakeUp(r.alarm.wake)
}

// options returns the present options.
func (r *Renewer) options() RenewerOptions {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mode
}

// Run renews until ctx is done, and returns nil once no renewal is under way. It fails
// if it cannot get a timer.
func (r *Renewer) Run(ctx context.Context) error {
	defer r.tasks.Wait()
	return r.alarm.run(ctx, r.desk.store, r.desk.Clock, r.begin)
}

// renewalBatch is how many deadlines are listed at once, at first: most often the first
// few keep the renewer busy.
const renewalBatch = 16

// renewEvery is the least time between the beginnings of two renewals. Each takes some
// 2 ms of a processor. After a morning's logins, or a day of suspend, thousands may be
// due at once, and clients are to notice nothing of that.
const renewEvery = 20 * time.Millisecond

// pause returns how long the next renewal has to wait for the one before it.
func (r *Renewer) pause() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return renewEvery - time.Since(r.began)
}

// begin begins the renewals that are due, as many as may run at once, and returns when
// to look again.
func (r *Renewer) begin(ctx context.Context) time.Time {
	now := r.desk.Clock.Now()
	if r.options().Off {
		r.alarm.next.Store(math.MinInt64) // so that no event wakes the renewer
		return now.AddDate(1, 0, 0)
	}
	r.alarm.next.Store(math.MaxInt64) // a change wakes us until the first deadline is known
	after, limit := int64(math.MinInt64), renewalBatch
	for {
		due, err := r.desk.store.Due(ctx, ccstore.Renewing, after, ccstore.Never, limit)
		if err != nil {
			if ctx.Err() == nil {
				r.log.Warn("cannot find out which tickets to renew, trying again", "err", err, "in", retryAfter)
			}
			return now.Add(retryAfter)
		}
		for _, d := range due {
			if d.At > now.Unix() {
				r.alarm.next.Store(d.At)
				return r.lookAgain(now, time.Unix(d.At, 0))
			}
			if pause := r.pause(); r.full() || pause > 0 {
				r.alarm.next.Store(math.MinInt64) // nothing else can begin; the end of one wakes us
				if pause > 0 {
					time.AfterFunc(pause, func() { wakeUp(r.alarm.wake) })
				}
				return now.AddDate(1, 0, 0)
			}
			r.beginOne(ctx, d, now)
		}
		if len(due) < limit {
			return r.lookAgain(now, now.AddDate(1, 0, 0))
		}
		last := due[len(due)-1].At
		if due[0].At == last {
			limit *= 2 // others may be due at the same time
		} else {
			after = last - 1
		}
	}
}

// A hold keeps a ticket from being renewed, without a trace in the store: the wall clock
// may be wrong about its end, nothing can be stored, or its realm is down.
type hold struct {
	ticket  uuid.UUID
	due     int64         // if not 0, a ticket that is due then is this one
	until   time.Duration // by the boot clock
	expired bool          // ends when the ticket has not expired, because the clock was set
}

// hold holds a ticket for a while.
func (r *Renewer) hold(job *renewal, h hold) {
	r.mu.Lock()
	defer r.mu.Unlock()
	h.until += r.desk.Clock.Boot()
	r.held[job.cache] = h
}

// isHeld reports whether a ticket of a cache, which has expired or not, is held.
func (r *Renewer) isHeld(cache, ticket uuid.UUID, expired bool) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	h, ok := r.held[cache]
	return ok && h.ticket == ticket && h.until > r.desk.Clock.Boot() && (expired || !h.expired)
}

// isWaiting reports whether nothing is to be done about a deadline now. It does not load
// the collection: many may wait for the KDC of a realm.
func (r *Renewer) isWaiting(d ccstore.Deadline) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	boot := r.desk.Clock.Boot()
	h, held := r.held[d.Cache]
	_, running := r.running[d.Cache]
	return running || r.owners[d.Owner] || r.rests[d.Owner] > boot || held && h.due == d.At && h.until > boot
}

// lookAgain returns when the first ticket or owner no longer waits, or next if that is
// earlier.
func (r *Renewer) lookAgain(now, next time.Time) time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	boot := r.desk.Clock.Boot()
	for cache, h := range r.held {
		if h.until <= boot {
			delete(r.held, cache)
		} else if until := now.Add(h.until - boot); until.Before(next) {
			next = until
		}
	}
	for owner, rest := range r.rests {
		if rest <= boot {
			delete(r.rests, owner)
		} else if until := now.Add(rest - boot); until.Before(next) {
			next = until
		}
	}
	return next
}

// full reports whether as many renewals run as may.
func (r *Renewer) full() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.running) >= r.mode.Parallel
}

// beginOne begins one renewal, unless something is in its way.
func (r *Renewer) beginOne(ctx context.Context, d ccstore.Deadline, now time.Time) {
	if r.isWaiting(d) {
		return
	}
	cache, tgt, err := r.desk.tgt(ctx, d.Owner, d.Cache)
	if err != nil {
		return
	}
	at, due := cache.RenewalDue() // the deadline may have been met meanwhile
	expired := tgt.IsExpired(cache.KDCTime(now))
	if !due || at.After(now) || r.isHeld(d.Cache, tgt.UUID, expired) {
		return
	}
	active := r.options().Active
	job := &renewal{owner: d.Owner, cache: d.Cache, ticket: tgt.UUID, realm: tgt.Server.Realm}
	switch {
	case expired:
		r.giveUp(ctx, job, cache, tgt)
	case active != nil && !active(d.Owner):
		r.postpone(ctx, job, cache, tgt, now)
	default:
		if wait := r.realmIsDown(job); wait > 0 {
			r.await(ctx, job, cache, tgt, wait)
			break
		}
		r.start(ctx, job)
		return
	}
	r.settle(ctx, job)
}

// await has a ticket wait for the KDC of its realm. That no KDC answers is noted once:
// it is no attempt of this owner, after which the pauses would get longer.
func (r *Renewer) await(ctx context.Context, job *renewal, cache *ccstore.Cache, tgt *ccstore.Credential, wait time.Duration) {
	if cache.TGTRenewal().Reason == string(kdc.Unreachable) {
		at, _ := cache.RenewalDue()
		r.hold(job, hold{ticket: job.ticket, due: at.Unix(), until: wait})
		return
	}
	r.desk.noteOutage(ctx, job.owner, cache, tgt, wait)
}

// settle holds a ticket that is due as before, because nothing could be stored.
func (r *Renewer) settle(ctx context.Context, job *renewal) {
	cache, tgt, err := r.desk.tgt(ctx, job.owner, job.cache)
	if err != nil || tgt.UUID != job.ticket || r.isHeld(job.cache, tgt.UUID, true) {
		return
	}
	if at, ok := cache.RenewalDue(); ok && !at.After(r.desk.Clock.Now()) {
		r.hold(job, hold{ticket: job.ticket, until: retryAfter})
	}
}

// giveUp notes that a ticket expired before it could be renewed; not yet, if the wall
// clock may be wrong.
func (r *Renewer) giveUp(ctx context.Context, job *renewal, cache *ccstore.Cache, tgt *ccstore.Credential) {
	if wait := r.desk.store.Distrust(); wait > 0 {
		r.hold(job, hold{ticket: job.ticket, until: wait, expired: true})
		return
	}
	r.desk.noteFailure(ctx, job.owner, cache, tgt, &kdc.Failure{Reason: kdc.Expired, Text: "the ticket expired before it was renewed"})
}

// postpone looks at a ticket again when a quarter of the rest of its life has passed.
func (r *Renewer) postpone(ctx context.Context, job *renewal, cache *ccstore.Cache, tgt *ccstore.Credential, now time.Time) {
	next := cache.TGTRenewal()
	end, _ := tgt.Expires()
	next.Ticket = tgt.UUID
	next.Next = now.Add(max(time.Second, end.Sub(cache.KDCTime(now))/4)).Unix()
	err := r.desk.store.Update(ctx, job.owner, func(tx *ccstore.Tx) error { return tx.SetRenewal(job.cache, next) })
	if err != nil && !errors.Is(err, ccstore.ErrNoCache) && !errors.Is(err, ccstore.ErrNoCredential) {
		r.log.Debug("cannot postpone a renewal", "owner", job.owner, "err", err)
	}
}

// start runs a renewal, unless too many run for the realm.
func (r *Renewer) start(ctx context.Context, job *renewal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.realms[job.realm] >= max(1, r.mode.Parallel*3/4) {
		return // room for other realms, in case the KDC of this one is slow
	}
	r.began = time.Now()
	r.running[job.cache] = job
	r.owners[job.owner] = true
	r.realms[job.realm]++
	r.tasks.Go(func() {
		defer r.end(job)
		r.renew(ctx, job)
		r.settle(ctx, job)
	})
}

// end ends a renewal.
func (r *Renewer) end(job *renewal) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.running, job.cache)
	delete(r.owners, job.owner)
	if r.realms[job.realm]--; r.realms[job.realm] == 0 {
		delete(r.realms, job.realm)
	}
	wakeUp(r.alarm.wake)
}

// renew renews the TGT of a cache.
func (r *Renewer) renew(ctx context.Context, job *renewal) {
	began := r.desk.Clock.Boot()
	next, err := r.desk.Renew(ctx, job.owner, job.cache)
	if err != nil {
		r.rest(job, r.desk.Clock.Boot()-began)
	}
	var failure *kdc.Failure
	switch {
	case err == nil:
		r.noteRealm(job, true)
		end, _ := next.Expires()
		r.lines.Info(job.owner, "renewed a ticket", "owner", job.owner, "realm", job.realm, "until", end)
	case errors.As(err, &failure):
		r.noteRealm(job, failure.Reason != kdc.Unreachable)
		if failure.Reason == kdc.Unreachable {
			r.desk.network.unreachable()
		}
		r.refused(ctx, job, failure)
	case errors.Is(err, ccstore.ErrNoCache) || ctx.Err() != nil:
	default:
		r.lines.Info(job.owner, "cannot store a renewed ticket", "owner", job.owner, "err", err)
		r.again(ctx, job)
	}
}

// refused logs a failure.
func (r *Renewer) refused(ctx context.Context, job *renewal, f *kdc.Failure) {
	switch f.Reason {
	case kdc.Superseded, kdc.NoTGT:
		return // the client has another ticket
	case kdc.Busy:
		r.again(ctx, job)
		return
	}
	r.lines.Info(job.owner, "cannot renew a ticket", "owner", job.owner, "realm", job.realm, "reason", string(f.Reason), "err", f.Text, "final", f.Reason.Final())
}

// again has a renewal repeated soon, though no KDC has refused it.
func (r *Renewer) again(ctx context.Context, job *renewal) {
	cache, tgt, err := r.desk.tgt(ctx, job.owner, job.cache)
	if err == nil {
		r.postpone(ctx, job, cache, tgt, r.desk.Clock.Now())
	}
}

// rest has an owner wait after a renewal that failed after some time, for twice as long
// again: with tickets that no KDC answers a user holds up others for no more than a third
// of the time of one renewal.
func (r *Renewer) rest(job *renewal, took time.Duration) {
	if took < time.Second {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.rests[job.owner] = r.desk.Clock.Boot() + 2*took
}

// An outage is the time in which no KDC of a realm answers. The tickets of two users may
// be the cause, not the KDC. So the pauses are short, and then those try it who do not
// rest.
type outage struct {
	first ccstore.Owner // who met it first
	sure  bool          // another owner met it as well
	pause time.Duration
	until time.Duration // by the boot clock: when the KDC is asked again
}

const (
	// maxOutages bounds the realms that are known to be down. Users choose names of realms.
	maxOutages = 1000

	// mostOutagePause is the longest pause of a realm.
	mostOutagePause = time.Minute
)

// noteRealm notes whether a KDC of a realm answered.
func (r *Renewer) noteRealm(job *renewal, answered bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.outages[job.realm]
	switch {
	case answered:
		delete(r.outages, job.realm)
		return
	case o == nil && len(r.outages) >= maxOutages:
		return
	case o == nil:
		o = &outage{first: job.owner, pause: firstPause}
		r.outages[job.realm] = o
		return
	case o.first != job.owner:
		o.sure = true
	}
	o.until = r.desk.Clock.Boot() + o.pause - time.Duration(rand.Int64N(int64(o.pause/4)))
	o.pause = min(2*o.pause, mostOutagePause)
}

// realmIsDown returns for how long it is of no use to ask a KDC of the realm.
func (r *Renewer) realmIsDown(job *renewal) time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	o := r.outages[job.realm]
	if o == nil || !o.sure {
		return 0
	}
	return max(0, o.until-r.desk.Clock.Boot())
}
