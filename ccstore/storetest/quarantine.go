package storetest

import (
	"testing"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// corrupt closes a store, makes changes in its backend, and opens it again.
func corrupt(t *testing.T, open Open, s *ccstore.Store, ops ...ccstore.Op) *ccstore.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b := open()
	revision := load(t, b).Revision
	if err := b.Commit(t.Context(), &ccstore.Commit{Owner: owner, Revision: revision, Ops: ops}); err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	return New(t, open())
}

// testQuarantined stores a credential that cannot be decoded. The others can be read.
// The store keeps it, does not overwrite it, and deletes it with its cache.
func testQuarantined(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice))
	junk := ccstore.CredentialRecord{Cache: 1, Seq: 7, UUID: uuid.New(), Data: []byte("junk")}
	s = corrupt(t, open, s, ccstore.PutCredential{CredentialRecord: junk})

	c := view(t, s, owner)
	want(t, "quarantined", 1, c.Quarantined())
	want(t, "servers", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM"}, servers(cacheOf(t, s, owner, "1000")))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Store("1000", Ticket(alice, "host/a@EXAMPLE.COM")) })
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("Check: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b := open()
	r := load(t, b)
	want(t, "stored credentials", 3, len(r.Credentials))
	_, shared := b.(ccstore.Watcher) // these quarantine in memory only
	for _, row := range r.Credentials {
		want(t, "quarantined", row.UUID == junk.UUID && !shared, row.Quarantined != "")
	}
	stored := 1
	if shared {
		stored = 0
	}
	wantQuarantined(t, b, stored)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open()
	s = New(t, b)
	want(t, "quarantined when loaded again", 1, view(t, s, owner).Quarantined())
	update(t, s, owner, func(tx *ccstore.Tx) error {
		tx.Initialize("1000", Principal(alice))
		return nil
	})
	want(t, "quarantined in an emptied cache", 0, view(t, s, owner).Quarantined())
	wantQuarantined(t, b, 0)
}

// wantQuarantined counts what is quarantined in a backend.
func wantQuarantined(t *testing.T, b ccstore.Backend, n int) {
	t.Helper()
	got, err := b.Quarantined(t.Context())
	if err != nil {
		t.Error(err)
	}
	want(t, "quarantined in the backend", n, got)
}

// testQuarantinedName stores a cache that cannot be decoded. Its name can be used
// again, and the store keeps it when the new cache of that name is destroyed.
func testQuarantinedName(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice))
	id := cacheOf(t, s, owner, "1000").UUID
	s = corrupt(t, open, s, ccstore.PutCache{CacheRecord: ccstore.CacheRecord{ID: 1, UUID: id, Name: "1000", Principal: []byte("junk")}})

	want(t, "caches", []string{}, names(view(t, s, owner)))
	want(t, "quarantined", 1, view(t, s, owner).Quarantined())
	fill(t, s, owner, "1000", bob, TGT(bob))
	want(t, "caches", []string{"1000"}, names(view(t, s, owner)))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Destroy("1000") })
	s = reopen(t, s, open)
	want(t, "quarantined when loaded again", 1, view(t, s, owner).Quarantined())
	fill(t, s, owner, "1000", bob, TGT(bob))
	want(t, "caches", []string{"1000"}, names(view(t, s, owner)))
}
