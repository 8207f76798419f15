package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A fakeKDC renews tickets by a clock. Tickets live as long as those they replace.
type fakeKDC struct {
	clock *clocktest.Manual

	mu      sync.Mutex
	earlier bool                               // its tickets end earlier than those they replace
	fail    func(tgt *ccache.Credential) error // nil: nothing fails
	delay   chan struct{}                      // if not nil, an answer waits for a value
	asked   []string                           // clients
	routes  chan string                        // gives the routes of the machine when they change
	working map[string]int                     // by realm, and "" for all
	most    map[string]int
}

func (k *fakeKDC) Do(ctx context.Context, r *kdc.Request) (*kdc.Reply, error) {
	if r.Op == kdc.Network {
		return k.await(ctx, r.Routes)
	}
	realm := r.TGT.Client.Realm
	k.mu.Lock()
	k.asked = append(k.asked, r.TGT.Client.String())
	for _, what := range []string{"", realm} {
		k.working[what]++
		k.most[what] = max(k.most[what], k.working[what])
	}
	fail, delay := k.fail, k.delay
	k.mu.Unlock()
	defer func() {
		k.mu.Lock()
		defer k.mu.Unlock()
		k.working[""]--
		k.working[realm]--
	}()
	if delay != nil {
		select {
		case <-delay:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(r.TGT); err != nil {
			return nil, err
		}
	}
	next := *r.TGT
	now := uint32(k.clock.Now().Unix() + int64(r.KDCOffset))
	next.StartTime, next.EndTime = now, min(now+r.TGT.EndTime-r.TGT.StartTime, r.TGT.RenewTill)
	if k.earlier {
		next.EndTime = r.TGT.EndTime - 1
	}
	parsed, err := ccache.ParseCredential(next.Append(nil))
	return &kdc.Reply{Credentials: []*ccache.Credential{parsed}}, err
}

// await returns other routes than those known.
func (k *fakeKDC) await(ctx context.Context, known string) (*kdc.Reply, error) {
	if known == "" {
		return &kdc.Reply{Routes: "at first"}, nil
	}
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case routes := <-k.routes:
		return &kdc.Reply{Routes: routes}, nil
	}
}

// requests returns how often the KDC was asked since the last call.
func (k *fakeKDC) requests() int {
	k.mu.Lock()
	defer k.mu.Unlock()
	n := len(k.asked)
	k.asked = nil
	return n
}

func (k *fakeKDC) failing(f func(*ccache.Credential) error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fail = f
}

func unreachable(*ccache.Credential) error {
	return &kdc.Failure{Reason: kdc.Unreachable, Text: "Cannot contact any KDC"}
}

// An act is a store with a renewer, and a clock that is moved. Times are since the
// start.
type act struct {
	t      *testing.T
	clock  *clocktest.Manual
	store  *ccstore.Store
	kdc    *fakeKDC
	desk   *lifecycle.Desk
	start  time.Time
	mu     sync.Mutex
	heard  []string
	active func(ccstore.Owner) bool
}

// renewing runs f with a renewer whose clock only f moves.
func renewing(t *testing.T, b ccstore.Backend, f func(a *act)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clocktest.New(time.Unix(2_000_000_000, 0))
		a := &act{t: t, clock: c, start: c.Now(), store: ccstore.Open(b, ccstore.Options{Clock: c})}
		a.kdc = &fakeKDC{clock: c, routes: make(chan string), working: make(map[string]int), most: make(map[string]int)}
		log := slog.New(slog.DiscardHandler)
		a.desk = lifecycle.NewDesk(a.store, lifecycle.DeskOptions{KDC: a.kdc, Clock: c, Logger: log, Helpers: budget.Bounds{Account: 2, Whole: 16, Reserve: 1}})
		a.store.Watch(a.hear)
		r := lifecycle.NewRenewer(a.desk, lifecycle.RenewerOptions{Parallel: 4, Logger: log, Active: func(o ccstore.Owner) bool {
			return a.active == nil || a.active(o)
		}})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		go func() { done <- a.desk.Network().Run(ctx) }()
		synctest.Wait()
		f(a)
		cancel()
		for range 2 {
			if err := <-done; err != nil {
				t.Errorf("Run: %v", err)
			}
		}
		if err := a.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func (a *act) hear(e ccstore.Event) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, n := range e.Notices {
		cache, err := e.After.CacheByUUID(n.Cache)
		if err != nil {
			a.t.Error(err)
			continue
		}
		text := cache.Name + " renewed"
		if n.Kind == ccstore.RenewalFailed {
			next := "never"
			if n.Next != ccstore.Never {
				next = time.Unix(n.Next, 0).Sub(a.clock.Now()).String()
			}
			text = fmt.Sprint(cache.Name, " ", n.Reason, " ", next)
		}
		a.heard = append(a.heard, text)
	}
}

// waits lets everything that is due be done: renewals begin one after another.
func (a *act) waits() {
	time.Sleep(time.Minute)
	synctest.Wait()
}

// hears fails the test if other notices came since the last call.
func (a *act) hears(notices ...string) {
	a.t.Helper()
	a.waits()
	a.mu.Lock()
	defer a.mu.Unlock()
	slices.Sort(a.heard)
	if got, want := strings.Join(a.heard, ", "), strings.Join(notices, ", "); got != want {
		a.t.Errorf("at %v: heard %q, want %q", a.clock.Now().Sub(a.start), got, want)
	}
	a.heard = nil
}

// until lets time pass until it is so long after the start.
func (a *act) until(d time.Duration) {
	a.clock.Advance(a.start.Add(d).Sub(a.clock.Now()))
	a.waits()
}

// fill fills a cache with a TGT that lives for life from now on and is renewable until
// till, and with a service ticket.
func (a *act) fill(uid uint32, name, client string, life, till time.Duration) {
	a.t.Helper()
	tgt, now := storetest.TGT(client), uint32(a.clock.Now().Unix())
	tgt.AuthTime, tgt.StartTime, tgt.EndTime = now, now, now+uint32(life.Seconds())
	tgt.RenewTill = now + uint32(till.Seconds())
	err := a.store.Update(a.t.Context(), owner(uid), func(tx *ccstore.Tx) error {
		tx.Replace(name, tgt.Client, 0, []*ccache.Credential{tgt, storetest.Ticket(client, "host/x@EXAMPLE.COM")})
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
	a.waits()
}

func (a *act) cache(uid uint32, name string) *ccstore.Cache {
	a.t.Helper()
	c, err := a.store.Snapshot(a.t.Context(), owner(uid))
	if err != nil {
		a.t.Fatal(err)
	}
	cache, err := c.Cache(name)
	if err != nil {
		a.t.Fatal(err)
	}
	return cache
}

// ends fails the test if the TGT of a cache does not end so long after the start.
func (a *act) ends(uid uint32, name string, want time.Duration) {
	a.t.Helper()
	end, _ := a.cache(uid, name).TGT().Expires()
	if got := end.Sub(a.start); got != want {
		a.t.Errorf("at %v: %s ends at %v, want %v", a.clock.Now().Sub(a.start), name, got, want)
	}
}

const alice = "alice@EXAMPLE.COM"

// TestRenewer renews a ticket until it cannot last longer.
func TestRenewer(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		a.fill(1, "no", alice, 10*time.Hour, 0)
		sets := a.clock.Sets()
		a.until(4*time.Hour - time.Second)
		a.hears()
		if n := a.clock.Sets() - sets; n != 0 {
			t.Errorf("woke %d times though nothing was due", n)
		}
		a.until(5 * time.Hour)
		a.hears("x renewed")
		a.ends(1, "x", 15*time.Hour)
		if n := a.cache(1, "x").Tickets(); n != 2 {
			t.Errorf("%d tickets are left", n)
		}
		a.until(10 * time.Hour)
		a.hears("x renewed")
		a.until(15 * time.Hour)
		a.hears("x renewed")
		a.ends(1, "x", 24*time.Hour)
		a.until(30 * time.Hour)
		a.hears()
		if n := a.kdc.requests(); n != 3 {
			t.Errorf("asked the KDC %d times", n)
		}
	})
}

// TestRenewerFails has a KDC that cannot be reached for a while, one that refuses for
// good, and tickets that expire meanwhile.
func TestRenewerFails(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.kdc.failing(unreachable)
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		a.until(5 * time.Hour)
		a.hears("x KdcUnreachable 30s")
		a.until(5*time.Hour + 29*time.Second)
		a.hears()
		a.until(5*time.Hour + 30*time.Second)
		a.hears("x KdcUnreachable 1m0s")
		for range 20 {
			a.until(a.clock.Now().Sub(a.start) + 10*time.Minute)
		}
		a.mu.Lock()
		if n := len(a.heard); n < 20 || n > 25 {
			t.Errorf("%d attempts in 200 minutes", n)
		}
		a.heard = nil
		a.mu.Unlock()
		a.kdc.failing(nil)
		a.until(9 * time.Hour)
		a.hears("x renewed")

		a.kdc.failing(func(*ccache.Credential) error { return &kdc.Failure{Reason: kdc.ClientRevoked, Text: "revoked"} })
		a.until(14 * time.Hour)
		a.hears("x ClientRevoked never")
		a.kdc.failing(nil)
		a.until(40 * time.Hour)
		a.hears()
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		a.until(60 * time.Hour) // suspended meanwhile
		a.hears("x Expired never")
	})
}

// TestRenewerNetwork has the network come back: what waits for that is renewed at once,
// and the routes are not watched for ever.
func TestRenewerNetwork(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.kdc.failing(unreachable)
		for uid := range uint32(20) {
			a.fill(1+uid, "x", alice, 10*time.Hour, 24*time.Hour)
		}
		a.until(5*time.Hour + time.Minute)
		a.until(5*time.Hour + 8*time.Minute)
		a.kdc.failing(nil)
		a.kdc.requests()
		a.kdc.routes <- "others"
		a.waits()
		for uid := range uint32(20) {
			a.ends(1+uid, "x", 15*time.Hour+8*time.Minute)
		}
		if n := a.kdc.requests(); n != 20 {
			t.Errorf("asked the KDC %d times for 20 tickets", n)
		}
		a.until(5*time.Hour + 30*time.Minute)
		a.kdc.routes <- "others" // it has waited for long enough
		a.waits()
		select {
		case a.kdc.routes <- "yet others":
			t.Error("the routes are watched though every KDC answers")
		default:
		}
	})
}

// TestRenewerMany has 500 users whose tickets are due at once: at most 4 are renewed
// at once, 3 of one realm, 50 in a second, and each once.
func TestRenewerMany(t *testing.T) {
	const users = 500
	renewing(t, memory.New(), func(a *act) {
		for uid := range uint32(users) {
			realm := "BIG.EXAMPLE"
			if uid%10 == 0 {
				realm = "SMALL.EXAMPLE"
			}
			a.fill(1+uid, "x", "alice@"+realm, 10*time.Hour, 24*time.Hour)
		}
		a.clock.Advance(5 * time.Hour)
		time.Sleep(time.Second)
		synctest.Wait()
		first := a.kdc.requests()
		if first < 45 || first > 51 {
			t.Errorf("asked the KDC %d times in the first second, want 50", first)
		}
		a.waits()
		if n := first + a.kdc.requests(); n != users {
			t.Errorf("asked the KDC %d times for %d tickets", n, users)
		}
		if a.kdc.most[""] > 4 || a.kdc.most["BIG.EXAMPLE"] > 3 {
			t.Errorf("at once: %v", a.kdc.most)
		}
	})
}

// TestRenewerSlow has a realm whose KDC does not answer: another realm's tickets are
// renewed, and when the first two users have noted that nobody answers, the others do
// not ask.
func TestRenewerSlow(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		for uid := range uint32(20) {
			a.fill(1+uid, "x", "alice@SLOW.EXAMPLE", 10*time.Hour, 24*time.Hour)
		}
		a.fill(100, "fast", "alice@FAST.EXAMPLE", 10*time.Hour, 24*time.Hour)
		slow := make(chan struct{})
		a.kdc.failing(func(tgt *ccache.Credential) error {
			if tgt.Client.Realm != "SLOW.EXAMPLE" {
				return nil
			}
			<-slow
			return unreachable(tgt)
		})
		a.until(5 * time.Hour)
		a.hears("fast renewed")
		close(slow)
		a.waits()
		if n := a.kdc.requests(); n > 10 {
			t.Errorf("asked a dead KDC %d times at once", n)
		}
		a.kdc.failing(nil)
		a.until(5*time.Hour + 30*time.Minute)
		for uid := range uint32(20) {
			a.ends(1+uid, "x", 15*time.Hour+30*time.Minute)
		}
	})
}

// TestRenewerHeldUp has two users with 50 tickets each that the KDC of their realm never
// answers. Other users of the realm, whose tickets are due later, do not wait for long.
func TestRenewerHeldUp(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.kdc.failing(func(tgt *ccache.Credential) error {
			if !strings.HasPrefix(tgt.Client.Components[0], "crafted") {
				return nil
			}
			timer, err := a.clock.NewTimer()
			if err != nil {
				return err
			}
			defer timer.Close()
			if err := timer.Set(a.clock.Now().Add(45 * time.Second)); err != nil {
				return err
			}
			<-timer.C()
			return unreachable(tgt)
		})
		for i := range 50 {
			for uid := range uint32(2) {
				a.fill(1+uid, fmt.Sprint("x", i), "crafted@EXAMPLE.COM", 9*time.Hour, 24*time.Hour)
			}
		}
		for a.clock.Now().Before(a.start.Add(5*time.Hour + 10*time.Minute)) {
			a.until(a.clock.Now().Sub(a.start) + 30*time.Second)
		}
		began := a.clock.Now().Sub(a.start)
		const users = 20
		for uid := range uint32(users) {
			a.fill(100+uid, "honest", alice, time.Hour, 24*time.Hour)
		}
		renewed := func() (n int) {
			for uid := range uint32(users) {
				if end, _ := a.cache(100+uid, "honest").TGT().Expires(); end.Sub(a.start) > began+time.Hour {
					n++
				}
			}
			return n
		}
		for a.clock.Now().Before(a.start.Add(began + 32*time.Minute)) {
			a.until(a.clock.Now().Sub(a.start) + 5*time.Second)
		}
		if n := renewed(); n != users {
			t.Errorf("%d of %d tickets were renewed 2 minutes after half their life", n, users)
		}
		a.kdc.failing(nil)
		a.until(20 * time.Hour)
	})
}

// TestRenewerMeanwhile has a client destroy, and another one fill a cache, while the
// KDC renews the ticket.
func TestRenewerMeanwhile(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.kdc.delay = make(chan struct{})
		a.fill(1, "gone", alice, 10*time.Hour, 24*time.Hour)
		a.fill(2, "new", alice, 10*time.Hour, 24*time.Hour)
		a.until(5 * time.Hour)
		err := a.store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error { return tx.Destroy("gone") })
		if err != nil {
			t.Fatal(err)
		}
		a.fill(2, "new", alice, 3*time.Hour, 24*time.Hour)
		a.kdc.delay <- struct{}{}
		a.kdc.delay <- struct{}{}
		a.hears()
		a.ends(2, "new", 8*time.Hour)
		if c, err := a.store.Snapshot(t.Context(), owner(1)); err != nil || c.Len() != 0 {
			t.Errorf("the destroyed cache is back: %v", err)
		}
	})
}

// TestRenewerDiskFull cannot store what the KDC gave: nothing is lost, and it tries
// again when it can, not all the time.
func TestRenewerDiskFull(t *testing.T) {
	b := &failing{Backend: memory.New(), owner: owner(1)}
	renewing(t, b, func(a *act) {
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		b.err = errors.New("disk full")
		a.until(5 * time.Hour)
		a.hears()
		a.ends(1, "x", 10*time.Hour)
		if n := a.kdc.requests(); n != 1 {
			t.Errorf("asked the KDC %d times", n)
		}
		b.err = nil
		a.until(5*time.Hour + time.Minute)
		a.hears("x renewed")
		a.ends(1, "x", 15*time.Hour+time.Minute)
	})
}

// TestRenewerClock sets the clock by a year both ways: no ticket is given up for it.
func TestRenewerClock(t *testing.T) {
	const year = 365 * 24 * time.Hour
	renewing(t, memory.New(), func(a *act) {
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		a.clock.Set(a.start.Add(year))
		a.hears()
		a.clock.Advance(time.Hour)
		a.hears()
		a.clock.Set(a.start.Add(-year))
		a.clock.Advance(time.Hour)
		a.hears()
		a.clock.Set(a.start.Add(5 * time.Hour))
		a.hears("x renewed")
		a.ends(1, "x", 15*time.Hour)
	})
}

// TestRenewerActive renews only the tickets of users who are there.
func TestRenewerActive(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		there, asked := false, 0
		a.active = func(ccstore.Owner) bool { asked++; return there }
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		a.until(8 * time.Hour)
		a.hears()
		there = true
		a.until(9 * time.Hour)
		a.hears("x renewed")
		there, asked = false, 0
		for a.clock.Now().Before(a.start.Add(20 * time.Hour)) {
			a.until(a.clock.Now().Sub(a.start) + time.Second)
		}
		a.hears("x Expired never")
		if asked > 60 {
			t.Errorf("asked %d times whether a user is there", asked)
		}
	})
}

// TestDeskEnds renews a ticket in the second in which it was got, and has a KDC give
// one that ends earlier: neither ends the renewal of the ticket for good.
func TestDeskEnds(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.fill(1, "x", alice, 10*time.Hour, 24*time.Hour)
		renew := func() error {
			_, err := a.desk.Renew(t.Context(), owner(1), a.cache(1, "x").UUID)
			return err
		}
		if err := renew(); err != nil {
			t.Errorf("in the same second: %v", err)
		}
		a.hears("x renewed")
		a.kdc.earlier = true
		a.until(5 * time.Hour)
		a.hears("x KdcError 30s")
		a.ends(1, "x", 10*time.Hour)
		a.kdc.earlier = false
		a.until(5*time.Hour + 30*time.Second)
		a.hears("x renewed")
	})
}

// TestDeskBusy bounds what a user may ask a KDC for.
func TestDeskBusy(t *testing.T) {
	renewing(t, memory.New(), func(a *act) {
		a.fill(1, "x", alice, 10*time.Hour, 24000*time.Hour)
		a.fill(2, "x", alice, 10*time.Hour, 24000*time.Hour)
		a.until(time.Hour)
		busy, done := 0, 0
		for range 100 {
			a.clock.Advance(10 * time.Millisecond)
			_, err := a.desk.Renew(t.Context(), owner(1), a.cache(1, "x").UUID)
			var failure *kdc.Failure
			switch {
			case errors.As(err, &failure) && failure.Reason == kdc.Busy:
				busy++
			case err == nil || failure != nil: // the KDC's times are in seconds
				done++
			}
		}
		if done < 50 || busy < 30 {
			t.Errorf("%d requests of a user are served at once, %d refused", done, busy)
		}
		if _, err := a.desk.Renew(t.Context(), owner(2), a.cache(2, "x").UUID); err != nil {
			t.Errorf("another user: %v", err)
		}
	})
}
