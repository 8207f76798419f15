package storetest

import (
	"errors"
	"math"
	"testing"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/clock/clocktest"
)

// renewable returns a TGT that lives from one time to another, and is renewable.
func renewable(start, end, till uint32) *ccache.Credential {
	tgt := TGT(alice)
	tgt.AuthTime, tgt.StartTime, tgt.EndTime, tgt.RenewTill = start, start, end, till
	tgt.Flags |= ccache.FlagRenewable
	return tgt
}

// testRenewal renews a TGT among other credentials, and notes how that goes. All is
// stored at 400.
func testRenewal(t *testing.T, open Open) {
	s := ccstore.Open(open(), ccstore.Options{Clock: clocktest.New(time.Unix(400, 0))})
	CheckedAtEnd(t, s)
	dues := func() []ccstore.Deadline {
		t.Helper()
		list, err := s.Due(t.Context(), ccstore.Renewing, math.MinInt64, ccstore.Never, 9)
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	next := func() int64 {
		t.Helper()
		list := dues()
		if len(list) != 1 {
			t.Fatalf("due is %v", list)
		}
		return list[0].At
	}
	fill(t, s, owner, "1000", alice, Config(alice, "k", "v"), host("x"), renewable(1000, 2000, 9000), host("y"))
	fill(t, s, owner, "1000:no", alice, renewable(1000, 2000, 2000))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetKDCOffset("1000", -5) })
	if at := next(); at < 1405 || at > 1505 {
		t.Errorf("a ticket from 1000 to 2000 is renewed at %d", at)
	}
	cache := cacheOf(t, s, owner, "1000")
	old := cache.TGT().UUID

	// A failure moves the attempt, and nothing else.
	note := func(ticket uuid.UUID, r ccstore.Renewal) error {
		r.Ticket = ticket
		return s.Update(t.Context(), owner, func(tx *ccstore.Tx) error { return tx.SetRenewal(cache.UUID, r) })
	}
	failed := ccstore.Renewal{Next: 1700, Failures: 2, Reason: "KdcUnreachable", Text: "no KDC"}
	if err := note(old, failed); err != nil {
		t.Fatal(err)
	}
	want(t, "after a failure", 1700, next())
	failed.Ticket = old
	want(t, "failure", failed, cacheOf(t, s, owner, "1000").TGTRenewal())
	if err := note(uuid.New(), failed); !errors.Is(err, ccstore.ErrNoCredential) {
		t.Errorf("a failure of another ticket: %v", err)
	}
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetAutoRenew("1000", false) })
	want(t, "switched off", 0, len(dues()))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetAutoRenew("1000", true) })
	if err := note(old, failed); err != nil {
		t.Fatal(err)
	}

	// The new ticket takes the place of the old one, whatever its session key is.
	renewed := renewable(1700, 2700, 9000)
	renewed.Key.Type++
	renew := func(ticket uuid.UUID) error {
		return s.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
			_, err := tx.Renew(cache.UUID, ticket, renewed)
			return err
		})
	}
	before := servers(cacheOf(t, s, owner, "1000"))
	if err := renew(old); err != nil {
		t.Fatal(err)
	}
	after := cacheOf(t, s, owner, "1000")
	want(t, "servers", before, servers(after))
	want(t, "end", 2700, after.TGT().EndTime)
	want(t, "KDC offset", -5, after.KDCOffset)
	want(t, "UUID", cache.UUID, after.UUID)
	want(t, "renewal", ccstore.Renewal{}, after.TGTRenewal())
	if err := renew(old); !errors.Is(err, ccstore.ErrNoCredential) {
		t.Errorf("renewed twice: %v", err)
	}

	// What a client does ends what was noted.
	if err := note(after.TGT().UUID, ccstore.Renewal{Next: ccstore.Never, Reason: "NotRenewable"}); err != nil {
		t.Fatal(err)
	}
	want(t, "given up", 0, len(dues()))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Move("1000", "1000:moved") })
	want(t, "given up, moved", 0, len(dues()))
	fill(t, s, owner, "1000:moved", alice, renewable(1000, 2000, 9000))
	if at := next(); at < 1400 || at > 1500 {
		t.Errorf("after kinit it is renewed at %d", at)
	}
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetAutoRenew("1000:moved", false) })
	fill(t, s, owner, "1000:moved", alice, renewable(1000, 2000, 9000))
	want(t, "switched off, after kinit", 0, len(dues()))
}
