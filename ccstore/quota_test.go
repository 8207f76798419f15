package ccstore_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
)

const alice = "alice@EXAMPLE.COM"

// now is the time in these tests.
var now = time.Unix(2_000_000_000, 0)

// A quotaTest is a store with limits.
type quotaTest struct {
	t     *testing.T
	clock *clocktest.Manual
	store *ccstore.Store
}

func newQuotaTest(t *testing.T, l ccstore.Limits) quotaTest {
	c := clocktest.New(now)
	s := ccstore.Open(memory.New(), ccstore.Options{Limits: l, Clock: c, ReapAfter: time.Hour})
	return quotaTest{t, c, storetest.CheckedAtEnd(t, s)}
}

func (q quotaTest) update(f func(tx *ccstore.Tx) error) error {
	return q.store.Update(q.t.Context(), owner, f)
}

func (q quotaTest) do(f func(tx *ccstore.Tx) error) {
	q.t.Helper()
	if err := q.update(f); err != nil {
		q.t.Fatal(err)
	}
}

// refused expects the limit of that name to be in the way.
func (q quotaTest) refused(what string, f func(tx *ccstore.Tx) error) {
	q.t.Helper()
	before := q.listing()
	err := q.update(f)
	var quota *ccstore.QuotaError
	if !errors.As(err, &quota) || quota.What != what || !errors.Is(err, ccstore.ErrQuota) || !strings.Contains(err.Error(), "of uid 1000") {
		q.t.Errorf("error %v, want one about %s", err, what)
	}
	if after := q.listing(); after != before {
		q.t.Errorf("a refused update changed\n%s to\n%s", before, after)
	}
}

func (q quotaTest) collection() *ccstore.Collection {
	q.t.Helper()
	var c *ccstore.Collection
	if err := q.store.View(q.t.Context(), owner, func(found *ccstore.Collection) error { c = found; return nil }); err != nil {
		q.t.Fatal(err)
	}
	return c
}

// listing names all caches and their credentials.
func (q quotaTest) listing() string {
	var b strings.Builder
	c := q.collection()
	for _, cache := range c.Caches() {
		fmt.Fprintf(&b, "%s:", cache.Name)
		for cred := range cache.Credentials() {
			fmt.Fprintf(&b, " %s", cred.Server.Components[len(cred.Server.Components)-1])
		}
		b.WriteString("\n")
	}
	return b.String()
}

func (q quotaTest) want(listing ...string) {
	q.t.Helper()
	if got := q.listing(); got != strings.Join(listing, "\n")+"\n" {
		q.t.Errorf("got\n%swant\n%s", got, strings.Join(listing, "\n"))
	}
}

func fill(name string, creds ...*ccache.Credential) func(*ccstore.Tx) error {
	return func(tx *ccstore.Tx) error {
		tx.Replace(name, storetest.Principal(alice), 0, creds)
		return nil
	}
}

func store(name string, cred *ccache.Credential) func(*ccstore.Tx) error {
	return func(tx *ccstore.Tx) error { return tx.Store(name, cred) }
}

// ends sets when a ticket ends, in seconds from now.
func ends(cred *ccache.Credential, in int64) *ccache.Credential {
	cred.EndTime = uint32(now.Unix() + in)
	return cred
}

func host(name string) *ccache.Credential { return storetest.Ticket(alice, name+"@EXAMPLE.COM") }

func TestCacheLimit(t *testing.T) {
	q := newQuotaTest(t, ccstore.Limits{Caches: 3})
	q.do(fill("a", storetest.TGT(alice)))
	q.do(fill("b", ends(storetest.TGT(alice), -10)))
	endless := host("endless")
	endless.EndTime = 0
	q.do(fill("c", ends(storetest.TGT(alice), -20), ends(host("x"), -30)))
	q.do(fill("d", storetest.TGT(alice))) // the one that ended first makes room
	q.want("a: EXAMPLE.COM", "b: EXAMPLE.COM", "d: EXAMPLE.COM")
	q.do(fill("e", storetest.TGT(alice)))
	q.want("a: EXAMPLE.COM", "d: EXAMPLE.COM", "e: EXAMPLE.COM")
	q.refused("caches", fill("f", storetest.TGT(alice)))
	q.do(fill("a", storetest.TGT(alice), host("x"))) // re-kinit goes on
	q.do(store("a", host("y")))
	q.do(func(tx *ccstore.Tx) error { tx.SetDefault("nowhere"); return nil })
	q.do(fill("a", endless))
	q.refused("caches", fill("f", storetest.TGT(alice)))
}

// TestDefaultMoves has the store itself remove the default cache.
func TestDefaultMoves(t *testing.T) {
	q := newQuotaTest(t, ccstore.Limits{Caches: 3})
	q.do(fill("old", ends(storetest.TGT(alice), -10)))
	q.do(fill("short", ends(storetest.TGT(alice), 10)))
	q.do(fill("long", ends(storetest.TGT(alice), 20)))
	q.do(func(tx *ccstore.Tx) error { tx.SetDefault("old"); return nil })
	q.do(fill("new", ends(storetest.TGT(alice), 15)))
	if got := q.collection().DefaultName(); got != "long" {
		t.Errorf("default name %q, want the cache that is valid longest", got)
	}
}

// TestKDCTimeAtLimit has caches whose KDC's clock is 200,000 seconds behind, ahead,
// and right: what counts is what that clock shows.
func TestKDCTimeAtLimit(t *testing.T) {
	const off = 200_000
	q := newQuotaTest(t, ccstore.Limits{Caches: 3})
	offset := func(name string, seconds int32, cred *ccache.Credential) {
		t.Helper()
		q.do(func(tx *ccstore.Tx) error {
			tx.Replace(name, storetest.Principal(alice), seconds, []*ccache.Credential{cred})
			return nil
		})
	}
	offset("slow", -off, ends(storetest.TGT(alice), -off+100))
	offset("fast", off, ends(storetest.TGT(alice), off-100))
	offset("right", 0, ends(storetest.TGT(alice), -50))
	offset("a", 0, storetest.TGT(alice)) // the first to expire makes room: fast
	q.want("slow: EXAMPLE.COM", "right: EXAMPLE.COM", "a: EXAMPLE.COM")
	offset("b", 0, storetest.TGT(alice))
	q.want("slow: EXAMPLE.COM", "a: EXAMPLE.COM", "b: EXAMPLE.COM")
	q.refused("caches", fill("c", storetest.TGT(alice)))
	q.clock.Advance(101 * time.Second)
	q.do(fill("c", storetest.TGT(alice)))
	q.want("a: EXAMPLE.COM", "b: EXAMPLE.COM", "c: EXAMPLE.COM")
}

// TestEmptyAtLimit has a program make a cache without tickets at each login.
func TestEmptyAtLimit(t *testing.T) {
	q := newQuotaTest(t, ccstore.Limits{Caches: 3})
	q.do(fill("expired", ends(storetest.TGT(alice), -10)))
	for i := range 20 {
		q.clock.Advance(time.Second)
		q.do(fill(fmt.Sprint(i), storetest.Config(alice, "k", "v")))
	}
	q.want("expired: EXAMPLE.COM", "18: k", "19: k")
	for _, name := range []string{"a", "b", "c"} {
		q.do(fill(name, storetest.TGT(alice)))
	}
	q.want("a: EXAMPLE.COM", "b: EXAMPLE.COM", "c: EXAMPLE.COM")
	q.refused("caches", fill("d"))
}

// TestJumpAtLimit has the clock jump: nothing goes for having expired until the
// clock was trusted again for an hour.
func TestJumpAtLimit(t *testing.T) {
	const year = 365 * 24 * time.Hour
	for _, jump := range []time.Duration{20 * year, -20 * year} {
		q := newQuotaTest(t, ccstore.Limits{Caches: 2, Tickets: 2})
		q.do(fill("a", ends(storetest.TGT(alice), 10), ends(host("x"), 10)))
		q.do(fill("b", storetest.Config(alice, "k", "v")))
		q.clock.Set(now.Add(jump))
		q.do(fill("c", storetest.TGT(alice))) // in place of the empty one
		q.want("a: EXAMPLE.COM x", "c: EXAMPLE.COM")
		q.refused("caches", fill("d"))
		q.do(store("a", ends(host("y"), 10))) // a service ticket may always go
		q.want("a: EXAMPLE.COM y", "c: EXAMPLE.COM")
		q.clock.Advance(time.Hour - time.Second)
		q.refused("caches", fill("d"))
		q.clock.Set(now.Add(2 * time.Hour)) // it is right again, and not yet trusted
		q.refused("caches", fill("d"))
		q.clock.Advance(time.Hour)
		q.do(fill("d", storetest.TGT(alice)))
		q.want("c: EXAMPLE.COM", "d: EXAMPLE.COM")
	}
}

// TestKeptAtLimit has tickets that nobody can fetch again: the TGT of an anonymous
// client, and every ticket of a cache without TGT.
func TestKeptAtLimit(t *testing.T) {
	const anonymous = "WELLKNOWN/ANONYMOUS@WELLKNOWN:ANONYMOUS"
	q := newQuotaTest(t, ccstore.Limits{Tickets: 2})
	q.do(func(tx *ccstore.Tx) error {
		tx.Replace("anonymous", storetest.Principal(anonymous), 0, []*ccache.Credential{
			storetest.Ticket(anonymous, "krbtgt/EXAMPLE.COM@EXAMPLE.COM"), storetest.Ticket(anonymous, "host/a@EXAMPLE.COM"),
		})
		return nil
	})
	c, err := q.collection().Cache("anonymous")
	if err != nil {
		t.Fatal(err)
	}
	if tgt := c.TGT(); tgt == nil || tgt.Server.String() != "krbtgt/EXAMPLE.COM@EXAMPLE.COM" {
		t.Errorf("TGT of the anonymous client: %v", tgt)
	}
	q.do(store("anonymous", storetest.Ticket(anonymous, "host/b@EXAMPLE.COM")))
	q.want("anonymous: EXAMPLE.COM b")

	q.do(fill("service", storetest.Ticket(alice, "kadmin/changepw@EXAMPLE.COM"), ends(host("old"), -10)))
	q.do(store("service", host("x")))
	q.want("anonymous: EXAMPLE.COM b", "service: changepw x")
	q.refused("tickets", store("service", host("y")))
	q.clock.Advance(time.Duration(storetest.EndTime-now.Unix()) * time.Second)
	q.do(store("service", ends(host("z"), 4_000_000_000)))
	q.want("anonymous: EXAMPLE.COM b", "service: x z")
}

// TestBest compares caches.
func TestBest(t *testing.T) {
	q := newQuotaTest(t, ccstore.Limits{})
	best := func(want string) {
		t.Helper()
		name := ""
		if c := ccstore.Best(q.collection().Caches(), now); c != nil {
			name = c.Name
		}
		if name != want {
			t.Errorf("best is %q, want %q", name, want)
		}
	}
	best("")
	q.do(fill("empty", storetest.Config(alice, "k", "v")))
	q.do(fill("expired", ends(storetest.TGT(alice), -10)))
	best("")
	q.do(fill("service", ends(host("x"), 500)))
	best("service")
	q.do(fill("short", ends(storetest.TGT(alice), 50)))
	best("short")
	q.do(fill("long", ends(storetest.TGT(alice), 60)))
	best("long")
	// By the KDC's clock it has expired.
	q.do(func(tx *ccstore.Tx) error { return tx.SetKDCOffset("long", 100) })
	best("short")
	endless := storetest.TGT(alice)
	endless.EndTime = 0
	q.do(fill("endless", endless))
	best("endless")
}

func TestTicketLimit(t *testing.T) {
	q := newQuotaTest(t, ccstore.Limits{Tickets: 4})
	var purged []string
	q.store.Watch(func(e ccstore.Event) {
		for _, c := range e.Changes {
			if c.Reason == ccstore.Purged {
				purged = append(purged, c.Credential.Server.Components[0])
			}
		}
	})
	q.do(fill("a", storetest.Config(alice, "k", "v"), storetest.TGT(alice), host("x"), ends(host("expired"), -1), host("y")))
	q.do(fill("b", storetest.TGT(alice), ends(host("expired"), -1)))
	q.do(store("a", host("z")))
	q.want("a: k EXAMPLE.COM x y z", "b: EXAMPLE.COM expired")

	// x was of use later than the others.
	a, err := q.collection().Cache("a")
	if err != nil {
		t.Fatal(err)
	}
	x := storetest.Principal("x@EXAMPLE.COM")
	cred, err := a.Find(&ccache.Match{Server: &x})
	if err != nil {
		t.Fatal(err)
	}
	cred.Use()
	q.do(store("a", host("new")))
	q.want("a: k EXAMPLE.COM x z new", "b: EXAMPLE.COM expired")
	if !slices.Equal(purged, []string{"expired", "y"}) {
		t.Errorf("purged %v", purged)
	}

	// Configuration entries do not count.
	for i := range 10 {
		q.do(store("b", storetest.Config(alice, fmt.Sprint(i), "v")))
	}
	q.do(store("b", host("1")))
	q.do(store("b", host("2")))

	// Of valid TGTs none goes.
	q.do(fill("c", tgts(4)...))
	q.refused("tickets", store("c", host("x")))
	q.refused("tickets", fill("d", tgts(5)...))
}

// tgts returns n TGTs that do not replace one another.
func tgts(n int) []*ccache.Credential {
	list := make([]*ccache.Credential, n)
	for i := range list {
		list[i] = storetest.TGT(alice)
		list[i].Key.Type = int16(i)
	}
	return list
}

func TestByteLimit(t *testing.T) {
	big := func(name string) *ccache.Credential {
		c := host(name)
		c.Ticket = make([]byte, 100_000)
		return c
	}
	q := newQuotaTest(t, ccstore.Limits{Bytes: 400_000})
	q.do(fill("a", storetest.TGT(alice), big("1"), big("2")))
	q.do(fill("old", ends(big("3"), -10)))
	q.do(store("a", big("4"))) // the expired cache makes room
	q.want("a: EXAMPLE.COM 1 2 4")
	q.do(store("a", big("5"))) // then the ticket stored longest ago
	q.want("a: EXAMPLE.COM 2 4 5")

	huge := host("huge")
	huge.Ticket = make([]byte, 500_000)
	q.refused("bytes", store("a", huge))
	q.do(fill("a", storetest.TGT(alice), big("2"), big("4"), big("5"))) // rewritten in place
	q.want("a: EXAMPLE.COM 2 4 5")
}

// TestLoweredLimit has more stored than a limit allows that came later.
func TestLoweredLimit(t *testing.T) {
	b := memory.New()
	s := ccstore.Open(b, ccstore.Options{})
	for _, name := range []string{"a", "b", "c"} {
		if err := s.Update(t.Context(), owner, fill(name, storetest.TGT(alice), host("x"))); err != nil {
			t.Fatal(err)
		}
	}
	s = ccstore.Open(b, ccstore.Options{Limits: ccstore.Limits{Caches: 1, Tickets: 1, Bytes: 1}})
	q := quotaTest{t, nil, storetest.CheckedAtEnd(t, s)}
	q.want("a: EXAMPLE.COM x", "b: EXAMPLE.COM x", "c: EXAMPLE.COM x")
	q.do(fill("a", storetest.TGT(alice), host("x")))
	q.do(store("b", host("x")))
	q.do(func(tx *ccstore.Tx) error { return tx.SetKDCOffset("c", 1) })
	q.refused("caches", fill("d"))
	q.do(func(tx *ccstore.Tx) error { return tx.Destroy("c") })
}

// TestOthersAreUntouched has one user at the limit, and another who is not.
func TestOthersAreUntouched(t *testing.T) {
	q := newQuotaTest(t, ccstore.Limits{Caches: 1})
	other := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1001}
	if err := q.store.Update(t.Context(), other, fill("theirs", ends(storetest.TGT(alice), -10))); err != nil {
		t.Fatal(err)
	}
	q.do(fill("a", storetest.TGT(alice)))
	q.refused("caches", fill("b", storetest.TGT(alice)))
	err := q.store.View(t.Context(), other, func(c *ccstore.Collection) error {
		_, err := c.Cache("theirs")
		return err
	})
	if err != nil {
		t.Errorf("the other user's cache: %v", err)
	}
}
