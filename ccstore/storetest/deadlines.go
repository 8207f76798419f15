package storetest

import (
	"fmt"
	"math"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/clock/clocktest"
)

// until sets the end of cred, by the KDC's clock in seconds since 1970.
func until(end uint32, cred *ccache.Credential) *ccache.Credential {
	cred.EndTime = end
	return cred
}

func host(name string) *ccache.Credential { return Ticket(alice, "host/"+name+"@EXAMPLE.COM") }

// due lists the deadlines of a kind after one time and up to another, each as the
// name of the cache and the time.
func due(t *testing.T, s *ccstore.Store, kind ccstore.DeadlineKind, after, until int64, limit int) []string {
	t.Helper()
	list, err := s.Due(t.Context(), kind, after, until, limit)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, d := range list {
		cache, err := view(t, s, d.Owner).CacheByUUID(d.Cache)
		if err != nil || d.Kind != kind {
			t.Fatalf("due is %v: %v", d, err)
		}
		found = append(found, fmt.Sprintf("%s %d", cache.Name, d.At))
	}
	return found
}

// testDue changes tickets and checks the deadlines. The time is always 400.
func testDue(t *testing.T, open Open) {
	s := ccstore.Open(open(), ccstore.Options{Clock: clocktest.New(time.Unix(400, 0))})
	CheckedAtEnd(t, s)
	all := func(kind ccstore.DeadlineKind) []string {
		t.Helper()
		return due(t, s, kind, math.MinInt64, ccstore.Never, 9)
	}
	fill(t, s, owner, "1000:never", alice, until(900, host("x")), until(0, TGT(alice)))
	want(t, "no deadline", []string{}, append(all(ccstore.Expiry), all(ccstore.Reaping)...))

	// Expiry is the end of the TGT, reaping the end of the last ticket.
	fill(t, s, owner, "1000:a", alice, until(700, TGT(alice)), until(800, host("x")), until(300, host("y")))
	fill(t, s, other, "1001", bob, until(600, host("x")), until(500, host("y")))
	want(t, "expiry", []string{"1001 600", "1000:a 700"}, all(ccstore.Expiry))
	want(t, "reaping", []string{"1001 600", "1000:a 800"}, all(ccstore.Reaping))
	for _, test := range []struct {
		after, until int64
		limit        int
		want         []string
	}{
		{600, 700, 9, []string{"1000:a 700"}},
		{599, 699, 9, []string{"1001 600"}},
		{599, 700, 1, []string{"1001 600"}},
		{600, 699, 9, []string{}},
		{700, 600, 9, []string{}},
	} {
		want(t, fmt.Sprintf("after %d until %d", test.after, test.until), test.want,
			due(t, s, ccstore.Expiry, test.after, test.until, test.limit))
	}

	// The end of a renewable ticket counts, not its renew_till. Deadlines are by the
	// local clock, and that of reaping is not before the last change of the cache.
	renewable := until(850, host("z"))
	renewable.RenewTill, renewable.Flags = 2000, renewable.Flags|ccache.FlagRenewable
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Store("1000:a", renewable) })
	want(t, "reaping with a renewable ticket", []string{"1001 600", "1000:a 850"}, all(ccstore.Reaping))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetKDCOffset("1000:a", -100) })
	want(t, "expiry with a slow KDC", []string{"1001 600", "1000:a 800"}, all(ccstore.Expiry))
	want(t, "reaping with a slow KDC", []string{"1001 600", "1000:a 950"}, all(ccstore.Reaping))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetKDCOffset("1000:a", 10_000) })
	want(t, "expiry with a fast KDC", []string{"1000:a -9300", "1001 600"}, all(ccstore.Expiry))
	want(t, "reaping with a fast KDC", []string{"1000:a 400", "1001 600"}, all(ccstore.Reaping))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Move("1000:a", "1000:b") })
	want(t, "reaping after a move", []string{"1000:b 400", "1001 600"}, all(ccstore.Reaping))

	// The deadline of a cache without tickets is its last change.
	update(t, s, owner, func(tx *ccstore.Tx) error { tx.Initialize("1000:b", Principal(alice)); return nil })
	update(t, s, other, func(tx *ccstore.Tx) error { return tx.Destroy("1001") })
	want(t, "expiry without tickets", []string{}, all(ccstore.Expiry))
	want(t, "reaping without tickets", []string{"1000:b 400"}, all(ccstore.Reaping))
}

// testReap checks which caches Reap destroys. All changes are made at 400.
func testReap(t *testing.T, open Open) {
	s := ccstore.Open(open(), ccstore.Options{Clock: clocktest.New(time.Unix(400, 0))})
	CheckedAtEnd(t, s)
	var reasons []string
	s.Watch(func(e ccstore.Event) {
		for _, c := range e.Changes {
			if c.Kind == ccstore.CacheDestroyed {
				reasons = append(reasons, string(c.Reason))
			}
		}
	})
	fill(t, s, owner, "1000", alice, until(500, TGT(alice)), Config(alice, "k", "v"), GSSProxy(alice, "v"))
	fill(t, s, owner, "1000:half", alice, until(500, host("x")), until(600, host("y")))
	fill(t, s, owner, "1000:old", alice, until(100, TGT(alice)))
	fill(t, s, owner, "1000:empty", alice, Config(alice, "k", "v"))
	valid := TGT(alice)
	valid.AuthTime, valid.StartTime = 0, 0
	fill(t, s, owner, "1000:valid", alice, valid)
	reap := func(until int64) (gone []string) {
		update(t, s, owner, func(tx *ccstore.Tx) error {
			gone = nil
			for _, cache := range tx.Reap(until) {
				gone = append(gone, cache.Name)
			}
			return nil
		})
		return gone
	}
	want(t, "reaped before the last change", nil, reap(399))
	want(t, "reaped at the last change", []string{"1000:old", "1000:empty"}, reap(400))
	want(t, "reaped before the first end", nil, reap(499))
	want(t, "reaped", []string{"1000"}, reap(599))
	want(t, "default", "1000:valid", view(t, s, owner).DefaultName())
	want(t, "reaped", []string{"1000:half"}, reap(900))
	want(t, "left", []string{"1000:valid"}, names(view(t, s, owner)))
	want(t, "reasons", []string{"reaped", "reaped", "reaped", "reaped"}, reasons)
}
