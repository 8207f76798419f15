package storetest

import (
	"fmt"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// ending returns a service ticket that ends at a time, and can be renewed until
// another if that is not 0.
func ending(end, renewTill uint32) *ccache.Credential {
	cred := Ticket(alice, fmt.Sprintf("host/%d.%d@EXAMPLE.COM", end, renewTill))
	cred.EndTime, cred.RenewTill = end, renewTill
	if renewTill != 0 {
		cred.Flags |= ccache.FlagRenewable
	} else {
		cred.Flags &^= ccache.FlagRenewable
	}
	return cred
}

// due returns what is due before a time, by cache name and end.
func due(t *testing.T, s *ccstore.Store, before int64, limit int) []string {
	t.Helper()
	list, err := s.Due(t.Context(), before, limit)
	if err != nil {
		t.Fatal(err)
	}
	found := []string{}
	for _, d := range list {
		cache, err := view(t, s, d.Owner).CacheByUUID(d.Cache)
		if err != nil {
			t.Fatalf("due is %v: %v", d, err)
		}
		found = append(found, fmt.Sprintf("%s %d", cache.Name, d.Ends))
	}
	return found
}

// testDue asks for deadlines while tickets come and go.
func testDue(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, Config(alice, "k", "v"))
	fill(t, s, owner, "1000:never", alice, ending(900, 0), ending(0, 0))
	want(t, "due without an end", []string{}, due(t, s, ccstore.Never-1, 9))

	fill(t, s, owner, "1000:a", alice, ending(700, 0), ending(500, 0))
	fill(t, s, other, "1001", bob, ending(600, 0))
	want(t, "due", []string{"1001 600", "1000:a 700"}, due(t, s, 700, 9))
	want(t, "due, at most one", []string{"1001 600"}, due(t, s, 700, 1))
	want(t, "due earlier", []string{"1001 600"}, due(t, s, 699, 9))

	store := func(cred *ccache.Credential) {
		update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Store("1000:a", cred) })
	}
	remove := func(cred *ccache.Credential) {
		update(t, s, owner, func(tx *ccstore.Tx) error {
			_, err := tx.Remove("1000:a", &ccache.Match{Server: &cred.Server})
			return err
		})
	}
	store(ending(800, 0))
	want(t, "due after a later one", []string{"1001 600", "1000:a 800"}, due(t, s, 2000, 9))
	store(ending(850, 990))
	want(t, "due after one that can be renewed", []string{"1001 600", "1000:a 990"}, due(t, s, 2000, 9))
	remove(ending(850, 990))
	remove(ending(800, 0))
	want(t, "due after they went", []string{"1001 600", "1000:a 700"}, due(t, s, 2000, 9))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Move("1000:a", "1000:b") })
	want(t, "due after a move", []string{"1001 600", "1000:b 700"}, due(t, s, 2000, 9))
	update(t, s, owner, func(tx *ccstore.Tx) error { tx.Initialize("1000:b", Principal(alice)); return nil })
	update(t, s, other, func(tx *ccstore.Tx) error { return tx.Destroy("1001") })
	want(t, "due after all went", []string{}, due(t, s, 2000, 9))
}

// testReap removes what ended long ago, and nothing else.
func testReap(t *testing.T, open Open) {
	s := New(t, open())
	var reasons []string
	s.Watch(func(e ccstore.Event) {
		for _, c := range e.Changes {
			if c.Kind == ccstore.CacheDestroyed {
				reasons = append(reasons, string(c.Reason))
			}
		}
	})
	fill(t, s, owner, "1000", alice, ending(500, 0), Config(alice, "k", "v"))
	fill(t, s, owner, "1000:renewable", alice, ending(400, 900))
	fill(t, s, owner, "1000:half", alice, ending(500, 0), ending(600, 0))
	fill(t, s, owner, "1000:empty", alice, Config(alice, "k", "v"))
	fill(t, s, owner, "1000:valid", alice, TGT(alice))
	reap := func(before int64) (gone []string) {
		update(t, s, owner, func(tx *ccstore.Tx) error {
			gone = nil
			for _, cache := range tx.Reap(before) {
				gone = append(gone, cache.Name)
			}
			return nil
		})
		return gone
	}
	want(t, "reaped before the first end", nil, reap(499))
	want(t, "reaped", []string{"1000"}, reap(599))
	want(t, "default", "1000:valid", view(t, s, owner).DefaultName())
	want(t, "reaped", []string{"1000:renewable", "1000:half"}, reap(900))
	want(t, "left", []string{"1000:valid", "1000:empty"}, names(view(t, s, owner)))
	want(t, "reasons", []string{"reaped", "reaped", "reaped"}, reasons)
}
