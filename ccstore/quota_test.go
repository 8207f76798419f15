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
	store *ccstore.Store
}

func newQuotaTest(t *testing.T, l ccstore.Limits) quotaTest {
	s := ccstore.Open(memory.New(), ccstore.Options{Limits: l, Clock: clocktest.New(now)})
	return quotaTest{t, storetest.CheckedAtEnd(t, s)}
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
	cred.Use(now)
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
		c.Ticket = make([]byte, 1000)
		return c
	}
	q := newQuotaTest(t, ccstore.Limits{Bytes: 4000})
	q.do(fill("a", storetest.TGT(alice), big("1"), big("2")))
	q.do(fill("old", ends(big("3"), -10)))
	q.do(store("a", big("4"))) // the expired cache makes room
	q.want("a: EXAMPLE.COM 1 2 4")
	q.do(store("a", big("5"))) // then the ticket stored longest ago
	q.want("a: EXAMPLE.COM 2 4 5")

	huge := host("huge")
	huge.Ticket = make([]byte, 5000)
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
	q := quotaTest{t, storetest.CheckedAtEnd(t, s)}
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
