// Package storetest has the test suite that every ccstore backend passes, and
// credentials for the tests of other packages.
//
// It imports ccstore, ccstore/ccache and clock/clocktest.
//
// Files, in the order in which to read them: storetest.go (the suite, and the tests of
// caches and credentials), credentials.go (made-up credentials), deadlines.go,
// renewal.go, quarantine.go, commits.go (more tests of the suite), shared.go (the suite for two
// stores over one backend).
package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

const (
	alice = "alice@EXAMPLE.COM"
	bob   = "bob@EXAMPLE.COM"
)

var (
	owner = ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000}
	other = ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1001}
)

// Open opens a backend. Every call opens the same stored data; the backend of the
// previous call must be closed.
type Open func() ccstore.Backend

// New returns a store over a backend, as CheckedAtEnd does.
func New(t *testing.T, b ccstore.Backend) *ccstore.Store {
	t.Helper()
	return CheckedAtEnd(t, ccstore.Open(b, ccstore.Options{}))
}

// CheckedAtEnd returns s. At the end of the test, s must pass (*ccstore.Store).Check
// and is closed, unless the test has closed it.
func CheckedAtEnd(t testing.TB, s *ccstore.Store) *ccstore.Store {
	t.Cleanup(func() {
		err := s.Check(context.Background())
		if errors.Is(err, ccstore.ErrClosed) {
			return
		}
		if err != nil {
			t.Errorf("store at the end of the test: %v", err)
		}
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

// Limits says what a backend cannot do, because of what it keeps caches in.
type Limits struct {
	// Largest is the most bytes of a credential; 0 is no limit.
	Largest int

	// Forgets says that there is no place for revisions, UUIDs, ids of commits, labels and
	// the order of storing: they are others when the backend is opened again.
	Forgets bool

	// Small says that the quota of the user has no room for a hundred tickets.
	Small bool

	// Displaces says that a new cache takes the place of a damaged one of its name.
	Displaces bool
}

// Run runs the suite. open is called for each test; what it returns opens the
// backend of that test, which is empty at first. Tests of what the backend cannot do are
// skipped.
func Run(t *testing.T, limits Limits, open func(t *testing.T) Open) {
	cannot := map[string]bool{
		"Reopen": limits.Forgets, "CommitIDs": limits.Forgets,
		"QuarantinedName": limits.Displaces, "Concurrent": limits.Small,
	}
	tests := []struct {
		name string
		f    func(*testing.T, Open)
	}{
		{"Empty", testEmpty},
		{"Initialize", testInitialize},
		{"Replace", testReplace},
		{"Destroy", testDestroy},
		{"Move", testMove},
		{"Default", testDefault},
		{"Store", testStore},
		{"StoreAgain", testStoreAgain},
		{"StoreConfig", testStoreConfig},
		{"Remove", testRemove},
		{"RemoveByUUID", testRemoveByUUID},
		{"KDCOffset", testKDCOffset},
		{"Bytes", func(t *testing.T, open Open) { testBytes(t, limits, open) }},
		{"Owners", testOwners},
		{"UniqueName", testUniqueName},
		{"Rollback", testRollback},
		{"Panic", testPanic},
		{"Snapshot", testSnapshot},
		{"Events", testEvents},
		{"Reopen", testReopen},
		{"Quarantined", testQuarantined},
		{"QuarantinedName", testQuarantinedName},
		{"Due", testDue},
		{"Reap", testReap},
		{"Renewal", testRenewal},
		{"Conflict", testConflict},
		{"CommitIDs", testCommitIDs},
		{"MoveOps", testMoveOps},
		{"Concurrent", testConcurrent},
		{"Random", testRandom},
		{"Closed", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if cannot[tt.name] {
				t.Skip("the backend cannot do this")
			}
			tt.f(t, open(t))
		})
	}
}

// reopen closes a store and opens another one over the same stored data.
func reopen(t *testing.T, s *ccstore.Store, open Open) *ccstore.Store {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return New(t, open())
}

func update(t *testing.T, s *ccstore.Store, o ccstore.Owner, f func(tx *ccstore.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), o, f); err != nil {
		t.Fatalf("Update: %v", err)
	}
}

// updateFails checks that an update fails with an error.
func updateFails(t *testing.T, s *ccstore.Store, what string, want error, f func(tx *ccstore.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), owner, f); !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}

// fill creates or replaces a cache, with the credentials creds.
func fill(t *testing.T, s *ccstore.Store, o ccstore.Owner, name, client string, creds ...*ccache.Credential) {
	t.Helper()
	update(t, s, o, func(tx *ccstore.Tx) error {
		tx.Replace(name, Principal(client), 0, creds)
		return nil
	})
}

func view(t *testing.T, s *ccstore.Store, o ccstore.Owner) *ccstore.Collection {
	t.Helper()
	var c *ccstore.Collection
	if err := s.View(t.Context(), o, func(found *ccstore.Collection) error { c = found; return nil }); err != nil {
		t.Fatalf("View: %v", err)
	}
	return c
}

func cacheOf(t *testing.T, s *ccstore.Store, o ccstore.Owner, name string) *ccstore.Cache {
	t.Helper()
	cache, err := view(t, s, o).Cache(name)
	if err != nil {
		t.Fatalf("cache %q: %v", name, err)
	}
	return cache
}

// servers returns the server principals of the cache's credentials, in order.
func servers(c *ccstore.Cache) []string {
	list := []string{}
	for cred := range c.Credentials() {
		list = append(list, cred.Server.String())
	}
	return list
}

func names(c *ccstore.Collection) []string {
	list := []string{}
	for _, cache := range c.Caches() {
		list = append(list, cache.Name)
	}
	return list
}

func want[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func testEmpty(t *testing.T, open Open) {
	c := view(t, New(t, open()), owner)
	want(t, "caches", []string{}, names(c))
	want(t, "default name", "1000", c.DefaultName())
	if c.Default() != nil {
		t.Error("there is a default cache")
	}
	if _, err := c.Cache("1000"); !errors.Is(err, ccstore.ErrNoCache) {
		t.Errorf("Cache: %v", err)
	}
	if _, err := c.CacheByUUID(uuid.New()); !errors.Is(err, ccstore.ErrNoCache) {
		t.Errorf("CacheByUUID: %v", err)
	}
}

func testInitialize(t *testing.T, open Open) {
	s := New(t, open())
	update(t, s, owner, func(tx *ccstore.Tx) error {
		tx.Initialize("1000", Principal(alice))
		return nil
	})
	first := cacheOf(t, s, owner, "1000")
	want(t, "principal", alice, first.Principal.String())
	want(t, "credentials", []string{}, servers(first))

	fill(t, s, owner, "1000", alice, TGT(alice))
	update(t, s, owner, func(tx *ccstore.Tx) error {
		if err := tx.SetKDCOffset("1000", 9); err != nil {
			return err
		}
		tx.Initialize("1000", Principal(bob))
		return nil
	})
	again := cacheOf(t, s, owner, "1000")
	want(t, "principal", bob, again.Principal.String())
	want(t, "credentials", []string{}, servers(again))
	want(t, "KDC offset", 0, again.KDCOffset)
	want(t, "UUID", first.UUID, again.UUID)
}

func testReplace(t *testing.T, open Open) {
	s := New(t, open())
	update(t, s, owner, func(tx *ccstore.Tx) error {
		tx.Replace("1000:a", Principal(alice), -5, []*ccache.Credential{TGT(alice), Ticket(alice, "host/a@EXAMPLE.COM")})
		return nil
	})
	c := cacheOf(t, s, owner, "1000:a")
	want(t, "KDC offset", -5, c.KDCOffset)
	want(t, "credentials", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM", "host/a@EXAMPLE.COM"}, servers(c))
	want(t, "tickets", 2, c.Tickets())

	fill(t, s, owner, "1000:a", bob, TGT(bob))
	d := cacheOf(t, s, owner, "1000:a")
	want(t, "UUID", c.UUID, d.UUID)
	want(t, "principal", bob, d.Principal.String())
	want(t, "credentials", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM"}, servers(d))
	want(t, "default name", "1000", view(t, s, owner).DefaultName())
}

func testDestroy(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice))
	fill(t, s, owner, "1000:b", bob, TGT(bob))
	gone := cacheOf(t, s, owner, "1000").UUID
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Destroy("1000") })
	c := view(t, s, owner)
	want(t, "caches", []string{"1000:b"}, names(c))
	if _, err := c.CacheByUUID(gone); !errors.Is(err, ccstore.ErrNoCache) {
		t.Errorf("CacheByUUID: %v", err)
	}
	updateFails(t, s, "Destroy again", ccstore.ErrNoCache, func(tx *ccstore.Tx) error { return tx.Destroy("1000") })
	fill(t, s, owner, "1000", alice)
	if again := cacheOf(t, s, owner, "1000"); again.UUID == gone {
		t.Error("a new cache has the UUID of the one destroyed")
	} else if again.Len() != 0 {
		t.Error("a new cache has the credentials of the one destroyed")
	}
}

func testMove(t *testing.T, open Open) {
	s := New(t, open())
	move := func(from, to string) func(tx *ccstore.Tx) error {
		return func(tx *ccstore.Tx) error { return tx.Move(from, to) }
	}
	updateFails(t, s, "Move without a cache", ccstore.ErrNoCache, move("1000:a", "1000:b"))
	want(t, "caches", []string{}, names(view(t, s, owner)))

	fill(t, s, owner, "1000:a", alice, Config(alice, "k", "v"), TGT(alice))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetKDCOffset("1000:a", 5) })
	moved := func(to string) {
		t.Helper()
		c := cacheOf(t, s, owner, to)
		want(t, "caches", []string{to}, names(view(t, s, owner)))
		want(t, "principal", alice, c.Principal.String())
		want(t, "KDC offset", 5, c.KDCOffset)
		want(t, "credentials", 2, c.Len())
	}
	update(t, s, owner, move("1000:a", "1000:b"))
	moved("1000:b")
	before := view(t, s, owner)
	update(t, s, owner, move("1000:b", "1000:b"))
	if view(t, s, owner) != before {
		t.Error("Move to itself changed the collection")
	}
	fill(t, s, owner, "1000:c", bob, TGT(bob), Ticket(bob, "host/a@EXAMPLE.COM"))
	id := cacheOf(t, s, owner, "1000:c").UUID
	update(t, s, owner, move("1000:b", "1000:c"))
	moved("1000:c")
	want(t, "UUID", id, cacheOf(t, s, owner, "1000:c").UUID)
}

func testDefault(t *testing.T, open Open) {
	s := New(t, open())
	for _, name := range []string{"1000:a", "1000:b", "1000:c"} {
		fill(t, s, owner, name, alice)
	}
	want(t, "caches", []string{"1000:a", "1000:b", "1000:c"}, names(view(t, s, owner)))
	setDefault := func(name string) {
		update(t, s, owner, func(tx *ccstore.Tx) error { tx.SetDefault(name); return nil })
	}
	setDefault("1000:b")
	want(t, "caches", []string{"1000:b", "1000:a", "1000:c"}, names(view(t, s, owner)))

	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Destroy("1000:b") })
	c := view(t, s, owner)
	want(t, "default name once destroyed", "1000:b", c.DefaultName())
	if c.Default() != nil {
		t.Error("there still is a default cache")
	}
	setDefault("1000:not yet")
	want(t, "default name", "1000:not yet", view(t, s, owner).DefaultName())
	want(t, "caches", []string{"1000:a", "1000:c"}, names(view(t, s, owner)))
}

func testStore(t *testing.T, open Open) {
	s := New(t, open())
	store := func(tx *ccstore.Tx) error { return tx.Store("1000", TGT(alice)) }
	updateFails(t, s, "Store without a cache", ccstore.ErrNoCache, store)
	want(t, "caches", []string{}, names(view(t, s, owner)))

	fill(t, s, owner, "1000", alice)
	update(t, s, owner, store)
	for i := range 5 {
		update(t, s, owner, func(tx *ccstore.Tx) error {
			return tx.Store("1000", Ticket(alice, fmt.Sprintf("host/%d@EXAMPLE.COM", 5-i)))
		})
	}
	c := cacheOf(t, s, owner, "1000")
	want(t, "order", []string{
		"krbtgt/EXAMPLE.COM@EXAMPLE.COM", "host/5@EXAMPLE.COM", "host/4@EXAMPLE.COM",
		"host/3@EXAMPLE.COM", "host/2@EXAMPLE.COM", "host/1@EXAMPLE.COM",
	}, servers(c))
	for cred := range c.Credentials() {
		if found, err := c.Credential(cred.UUID); err != nil || found != cred {
			t.Errorf("Credential(%s): %v, %v", cred.UUID, found, err)
		}
	}
	if _, err := c.Credential(uuid.New()); !errors.Is(err, ccstore.ErrNoCredential) {
		t.Errorf("Credential: %v", err)
	}
	if tgt := c.TGT(); tgt == nil || !tgt.IsTGT() {
		t.Errorf("TGT: %v", tgt)
	}
	postdated := TGT(alice)
	postdated.EndTime += 3600
	postdated.Flags |= ccache.FlagInvalid
	postdated.Key.Type++
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Store("1000", postdated) })
	if tgt := cacheOf(t, s, owner, "1000").TGT(); tgt != c.TGT() {
		t.Errorf("beside a postdated one, the TGT is %v", tgt)
	}
	update(t, s, owner, func(tx *ccstore.Tx) error {
		_, err := tx.RemoveByUUID("1000", []uuid.UUID{c.TGT().UUID})
		return err
	})
	if tgt := cacheOf(t, s, owner, "1000").TGT(); tgt == nil || tgt.Key.Type != postdated.Key.Type {
		t.Errorf("without another one, the TGT is %v", tgt)
	}
	server := Principal("host/3@EXAMPLE.COM")
	if found, err := c.Find(&ccache.Match{Server: &server}); err != nil || !found.Server.Equal(server) {
		t.Errorf("Find: %v, %v", found, err)
	}
	absent := Principal("host/6@EXAMPLE.COM")
	if _, err := c.Find(&ccache.Match{Server: &absent}); !errors.Is(err, ccstore.ErrNoCredential) {
		t.Errorf("Find: %v", err)
	}
}

func testStoreAgain(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice), Ticket(alice, "host/a@EXAMPLE.COM"), Ticket(alice, "host/b@EXAMPLE.COM"))
	before := cacheOf(t, s, owner, "1000")

	later := Ticket(alice, "host/a@EXAMPLE.COM")
	later.EndTime++
	otherType := Ticket(alice, "host/a@EXAMPLE.COM")
	otherType.Key.Type = 17
	userToUser := Ticket(alice, "host/a@EXAMPLE.COM")
	userToUser.IsSKey, userToUser.SecondTicket = 8, []byte("second")
	restricted := Ticket(alice, "host/a@EXAMPLE.COM")
	restricted.AuthData = []ccache.AuthData{{Type: 1, Data: []byte("ad")}}
	update(t, s, owner, func(tx *ccstore.Tx) error {
		for _, cred := range []*ccache.Credential{later, otherType, userToUser, restricted, later} {
			if err := tx.Store("1000", cred); err != nil {
				return err
			}
		}
		return nil
	})
	c := cacheOf(t, s, owner, "1000")
	want(t, "order", []string{
		"krbtgt/EXAMPLE.COM@EXAMPLE.COM", "host/a@EXAMPLE.COM", "host/b@EXAMPLE.COM",
		"host/a@EXAMPLE.COM", "host/a@EXAMPLE.COM", "host/a@EXAMPLE.COM",
	}, servers(c))
	server := later.Server
	found, err := c.Find(&ccache.Match{Server: &server})
	if err != nil || found.EndTime != later.EndTime {
		t.Fatalf("Find: %v, %v; want the ticket stored again", found, err)
	}
	if _, err := before.Credential(found.UUID); err == nil {
		t.Error("the ticket stored again has the UUID of the one that it replaced")
	}
}

func testStoreConfig(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, Config(alice, "k1", "1"), TGT(alice))
	update(t, s, owner, func(tx *ccstore.Tx) error {
		renamed := Config(alice, "k1", "2")
		renamed.Server.NameType = 0
		return errors.Join(tx.Store("1000", renamed), tx.Store("1000", Config(alice, "k2", "3")),
			tx.Store("1000", GSSProxy(alice, "old")), tx.Store("1000", GSSProxy(alice, "4")))
	})
	c := cacheOf(t, s, owner, "1000")
	var values []string
	for cred := range c.Credentials() {
		if cred.IsConfig() {
			values = append(values, string(cred.Ticket))
		}
	}
	want(t, "values", []string{"2", "3", "4"}, values)
	want(t, "credentials", 4, c.Len())
	want(t, "tickets", 1, c.Tickets())
}

func testRemove(t *testing.T, open Open) {
	s := New(t, open())
	weak := Ticket(alice, "host/a@EXAMPLE.COM")
	weak.Key.Type = 17
	fill(t, s, owner, "1000", alice, TGT(alice), Ticket(alice, "host/a@EXAMPLE.COM"), Ticket(alice, "host/b@EXAMPLE.COM"), weak)
	server := weak.Server
	remove := func(want int) {
		t.Helper()
		update(t, s, owner, func(tx *ccstore.Tx) error {
			n, err := tx.Remove("1000", &ccache.Match{Server: &server})
			if n != want {
				t.Errorf("removed %d, want %d", n, want)
			}
			return err
		})
	}
	remove(2)
	remove(0)
	c := cacheOf(t, s, owner, "1000")
	want(t, "credentials", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM", "host/b@EXAMPLE.COM"}, servers(c))
	updateFails(t, s, "Remove without a cache", ccstore.ErrNoCache, func(tx *ccstore.Tx) error {
		_, err := tx.Remove("1000:none", &ccache.Match{})
		return err
	})
}

func testRemoveByUUID(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice), Ticket(alice, "host/a@EXAMPLE.COM"), Ticket(alice, "host/b@EXAMPLE.COM"))
	var ids []uuid.UUID
	for cred := range cacheOf(t, s, owner, "1000").Credentials() {
		ids = append(ids, cred.UUID)
	}
	remove := func(want int, ids ...uuid.UUID) {
		t.Helper()
		update(t, s, owner, func(tx *ccstore.Tx) error {
			n, err := tx.RemoveByUUID("1000", ids)
			if n != want {
				t.Errorf("removed %d, want %d", n, want)
			}
			return err
		})
	}
	revision := view(t, s, owner).Revision()
	remove(0)
	remove(0, uuid.New())
	want(t, "revision", revision, view(t, s, owner).Revision())
	remove(1, ids[1], uuid.New(), ids[1])
	remove(0, ids[1])
	want(t, "credentials", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM", "host/b@EXAMPLE.COM"}, servers(cacheOf(t, s, owner, "1000")))
	remove(2, ids...)
	want(t, "credentials", 0, cacheOf(t, s, owner, "1000").Len())
	updateFails(t, s, "RemoveByUUID without a cache", ccstore.ErrNoCache, func(tx *ccstore.Tx) error {
		_, err := tx.RemoveByUUID("1000:none", ids)
		return err
	})
}

func testKDCOffset(t *testing.T, open Open) {
	s := New(t, open())
	set := func(tx *ccstore.Tx) error { return tx.SetKDCOffset("1000", -7) }
	updateFails(t, s, "SetKDCOffset without a cache", ccstore.ErrNoCache, set)
	fill(t, s, owner, "1000", alice, TGT(alice))
	update(t, s, owner, set)
	c := cacheOf(t, s, owner, "1000")
	want(t, "KDC offset", -7, c.KDCOffset)
	want(t, "credentials", 1, c.Len())
}

// testBytes stores values that a decoder might normalize.
func testBytes(t *testing.T, limits Limits, open Open) {
	large := 500_000
	if limits.Largest > 0 {
		large = limits.Largest / 2
	}
	if limits.Small {
		large = 2000
	}
	s := New(t, open())
	odd := ccache.Principal{NameType: -128, Realm: "R\xc3\xa9\x00\xff", Components: []string{"a/b", "x@y", "n\x00l", ""}}
	cred := &ccache.Credential{
		Client:       odd,
		Server:       ccache.Principal{},
		Key:          ccache.Key{Type: -133, Value: []byte{0, 255}},
		AuthTime:     0xffffffff,
		IsSKey:       8,
		Flags:        0xffffffff,
		Addresses:    []ccache.Address{{Type: 2, Data: []byte{127, 0, 0, 1}}, {Type: 20}},
		AuthData:     []ccache.AuthData{{Type: -17, Data: []byte("abc")}},
		Ticket:       bytes.Repeat([]byte{0xa5}, large),
		SecondTicket: []byte("second"),
	}
	name := "1000:\xff/:é"
	fill(t, s, owner, name, "a@B", cred)
	update(t, s, owner, func(tx *ccstore.Tx) error { tx.SetDefault(name); return nil })
	s = reopen(t, s, open)
	c := cacheOf(t, s, owner, name)
	want(t, "default name", name, view(t, s, owner).DefaultName())
	found, err := c.Find(&ccache.Match{Server: &ccache.Principal{}, Client: &odd, Flags: ccache.MatchIsSKey, IsSKey: true})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(found.Bytes(), cred.Bytes()) {
		t.Error("the credential was returned with other bytes")
	}
}

func testOwners(t *testing.T, open Open) {
	s := New(t, open())
	elsewhere := ccstore.Owner{Namespace: "container", UID: 1000}
	confined := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000, Level: "s0:c1"}
	for i, o := range []ccstore.Owner{owner, other, elsewhere, confined} {
		fill(t, s, o, "x", fmt.Sprintf("user%d@EXAMPLE.COM", i))
	}
	for i, o := range []ccstore.Owner{owner, other, elsewhere, confined} {
		want(t, "principal", fmt.Sprintf("user%d@EXAMPLE.COM", i), cacheOf(t, s, o, "x").Principal.String())
	}
	owners, err := s.Owners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want(t, "owners", []ccstore.Owner{elsewhere, owner, confined, other}, owners)
	update(t, s, elsewhere, func(tx *ccstore.Tx) error {
		tx.SetDefault("y")
		return tx.Destroy("x")
	})
	if owners, err = s.Owners(t.Context()); err != nil {
		t.Fatal(err)
	}
	want(t, "owners with a cache", []ccstore.Owner{owner, confined, other}, owners)
	fill(t, s, elsewhere, "x", alice)
	for o, levels := range map[ccstore.Owner][]string{owner: {"", "s0:c1"}, other: {""}, elsewhere: {""}} {
		got, err := s.Levels(t.Context(), o.Namespace, o.UID)
		if err != nil {
			t.Fatal(err)
		}
		want(t, "levels of "+o.String(), levels, got)
	}
	fill(t, s, ccstore.Owner{Namespace: "container", UID: 1000, Level: "s0"}, "x", alice)
	got, err := s.Levels(t.Context(), "container", 1000)
	if err != nil {
		t.Fatal(err)
	}
	want(t, "levels", []string{"", "s0"}, got)
}

func testUniqueName(t *testing.T, open Open) {
	c := view(t, New(t, open()), owner)
	seen := make(map[string]bool)
	for range 1000 {
		name := c.UniqueName()
		if seen[name] {
			t.Fatalf("UniqueName returned %s twice", name)
		}
		seen[name] = true
	}
	want(t, "caches", []string{}, names(c))
}

func testRollback(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice))
	before := view(t, s, owner)
	sentinel := errors.New("no")
	updateFails(t, s, "Update", sentinel, func(tx *ccstore.Tx) error {
		tx.Initialize("1000", Principal(bob))
		tx.Initialize("1000:b", Principal(bob))
		tx.SetDefault("1000:b")
		if c, err := tx.Cache("1000"); err != nil || c.Len() != 0 {
			t.Errorf("the transaction does not see its own changes: %v, %v", c, err)
		}
		return sentinel
	})
	if after := view(t, s, owner); after != before {
		t.Error("a failed transaction changed the collection")
	}
}

func testPanic(t *testing.T, open Open) {
	s := New(t, open())
	updateFails(t, s, "Update", ccstore.ErrInternal, func(tx *ccstore.Tx) error {
		tx.Initialize("1000", Principal(alice))
		panic("at the disco")
	})
	want(t, "caches", []string{}, names(view(t, s, owner)))
	fill(t, s, owner, "1000", alice) // the store still works
}

func testSnapshot(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, TGT(alice))
	old := view(t, s, owner)
	update(t, s, owner, func(tx *ccstore.Tx) error {
		return errors.Join(tx.Store("1000", Ticket(alice, "host/a@EXAMPLE.COM")), tx.SetKDCOffset("1000", 1))
	})
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Destroy("1000") })
	c, err := old.Cache("1000")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "credentials of the old snapshot", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM"}, servers(c))
	want(t, "KDC offset of the old snapshot", 0, c.KDCOffset)
}

func testEvents(t *testing.T, open Open) {
	s := New(t, open())
	var got []string
	s.Watch(func(e ccstore.Event) {
		if e.After.Revision() != e.Before.Revision()+1 {
			t.Errorf("event from revision %d to %d", e.Before.Revision(), e.After.Revision())
		}
		for _, c := range e.Changes {
			line := fmt.Sprintf("%d", c.Kind)
			if c.Credential != nil {
				line += " " + c.Credential.Server.String()
			}
			got = append(got, line+" "+string(c.Reason))
		}
	})
	kind := func(k ccstore.ChangeKind, rest string) string { return fmt.Sprintf("%d %s", k, rest) }
	expect := func(lines ...string) {
		t.Helper()
		want(t, "changes", lines, got)
		got = nil
	}
	tgt, host := "krbtgt/EXAMPLE.COM@EXAMPLE.COM ", "host/a@EXAMPLE.COM "

	fill(t, s, owner, "1000", alice, TGT(alice))
	expect(kind(ccstore.CacheCreated, ""), kind(ccstore.CredentialAdded, tgt))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Store("1000", Ticket(alice, "host/a@EXAMPLE.COM")) })
	expect(kind(ccstore.CredentialAdded, host))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Store("1000", Ticket(alice, "host/a@EXAMPLE.COM")) })
	expect(kind(ccstore.CredentialRemoved, host+"replaced"), kind(ccstore.CredentialAdded, host))
	server := Principal("host/a@EXAMPLE.COM")
	update(t, s, owner, func(tx *ccstore.Tx) error {
		_, err := tx.Remove("1000", &ccache.Match{Server: &server})
		return err
	})
	expect(kind(ccstore.CredentialRemoved, host+"removed"))
	fill(t, s, owner, "1000", bob, TGT(bob))
	expect(kind(ccstore.CredentialRemoved, tgt+"reinitialized"), kind(ccstore.CacheChanged, ""), kind(ccstore.CredentialAdded, tgt))
	update(t, s, owner, func(tx *ccstore.Tx) error { tx.SetDefault("1000:b"); return nil })
	expect(kind(ccstore.DefaultChanged, ""))
	update(t, s, owner, func(tx *ccstore.Tx) error { tx.SetDefault("1000:b"); return nil })
	expect() // no change, no event
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.SetKDCOffset("1000", 3) })
	expect(kind(ccstore.CacheChanged, ""))
	update(t, s, owner, func(tx *ccstore.Tx) error { return tx.Destroy("1000") })
	expect(kind(ccstore.CacheDestroyed, "removed"))
}

func testReopen(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice, Config(alice, "k", "v"), TGT(alice), Ticket(alice, "host/a@EXAMPLE.COM"))
	fill(t, s, owner, "1000:b", bob)
	update(t, s, owner, func(tx *ccstore.Tx) error {
		tx.SetLabel("u:r:t:s0")
		tx.Initialize("1000:labelled", Principal(alice))
		return nil
	})
	update(t, s, owner, func(tx *ccstore.Tx) error {
		tx.SetDefault("1000:b")
		tx.SetLabel("u:r:another_t:s0")
		tx.Initialize("1000:labelled", Principal(bob)) // keeps its label
		return tx.SetKDCOffset("1000", -300)
	})
	before := view(t, s, owner)
	s = reopen(t, s, open)
	after := view(t, s, owner)
	want(t, "revision", before.Revision(), after.Revision())
	want(t, "caches", names(before), names(after))
	want(t, "default name", before.DefaultName(), after.DefaultName())
	for _, was := range before.Caches() {
		is := cacheOf(t, s, owner, was.Name)
		want(t, "UUID", was.UUID, is.UUID)
		want(t, "KDC offset", was.KDCOffset, is.KDCOffset)
		want(t, "label", was.Label, is.Label)
		want(t, "credentials", servers(was), servers(is))
		for cred := range was.Credentials() {
			same, err := is.Credential(cred.UUID)
			if err != nil || !bytes.Equal(cred.Bytes(), same.Bytes()) {
				t.Errorf("credential %s: %v", cred.UUID, err)
			}
		}
	}
	want(t, "label", "u:r:t:s0", cacheOf(t, s, owner, "1000:labelled").Label)
	fill(t, s, owner, "1000:c", alice, TGT(alice)) // new ids continue after the stored ones
	want(t, "caches", []string{"1000:b", "1000", "1000:labelled", "1000:c"}, names(view(t, s, owner)))
}

// testConflict changes a collection in the backend, without the store.
func testConflict(t *testing.T, open Open) {
	b := open()
	s := New(t, b)
	fill(t, s, owner, "1000", alice)
	err := b.Commit(t.Context(), &ccstore.Commit{Owner: owner, Revision: 1, Ops: []ccstore.Op{ccstore.SetDefault{Name: "1000:else"}}})
	if err != nil {
		t.Fatal(err)
	}
	err = b.Commit(t.Context(), &ccstore.Commit{Owner: owner, Revision: 1, Ops: []ccstore.Op{ccstore.SetDefault{Name: "1000:lost"}}})
	if !errors.Is(err, ccstore.ErrConflict) {
		t.Errorf("Commit from an old revision: %v", err)
	}
	err = b.Commit(t.Context(), &ccstore.Commit{Owner: other, Revision: 3})
	if !errors.Is(err, ccstore.ErrConflict) {
		t.Errorf("Commit from a revision that never existed: %v", err)
	}
	fill(t, s, owner, "1000:b", bob) // tried again on the changed collection
	c := view(t, s, owner)
	want(t, "default name", "1000:else", c.DefaultName())
	want(t, "caches", []string{"1000", "1000:b"}, names(c))
	want(t, "revision", 3, c.Revision())
}

// testConcurrent changes and reads the collections of two owners in many
// goroutines. Some transactions fail, which must not affect the others.
func testConcurrent(t *testing.T, open Open) {
	const workers, rounds = 8, 20
	s := New(t, open())
	fill(t, s, owner, "shared", alice)
	fill(t, s, other, "shared", bob)
	var wg sync.WaitGroup
	for w := range workers {
		o := owner
		if w%4 == 3 {
			o = other
		}
		wg.Go(func() {
			for i := range rounds {
				server := fmt.Sprintf("host/%d-%d@EXAMPLE.COM", w, i)
				err := s.Update(t.Context(), o, func(tx *ccstore.Tx) error {
					if err := tx.Store("shared", Ticket(alice, server)); err != nil {
						return err
					}
					if i%5 == 4 {
						return context.Canceled
					}
					return nil
				})
				if failed := i%5 == 4; (err != nil) != failed {
					t.Errorf("Update: %v, should fail: %v", err, failed)
				}
				// A reader sees the change once Update has returned.
				p := Principal(server)
				_, err = cacheOf(t, s, o, "shared").Find(&ccache.Match{Server: &p})
				if found := err == nil; found == (i%5 == 4) {
					t.Errorf("Find(%s): %v", server, err)
				}
			}
		})
	}
	wg.Wait()
	perWorker := rounds * 4 / 5
	want(t, "tickets", workers*3/4*perWorker, cacheOf(t, s, owner, "shared").Len())
	want(t, "tickets", workers/4*perWorker, cacheOf(t, s, other, "shared").Len())
}

// testRandom makes random changes to a store and to a model, and compares them.
func testRandom(t *testing.T, open Open) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	s := New(t, open())
	model := make(map[string][]*ccache.Credential)
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	for range 300 {
		name := pick("1000", "1000:a", "1000:b")
		client := pick(alice, bob)
		server := pick("host/a@EXAMPLE.COM", "host/b@EXAMPLE.COM", "host/a@OTHER.COM", "host@EXAMPLE.COM", "krbtgt/EXAMPLE.COM@EXAMPLE.COM")
		switch n := rnd.IntN(20); {
		case n < 2:
			update(t, s, owner, func(tx *ccstore.Tx) error { tx.Initialize(name, Principal(client)); return nil })
			model[name] = []*ccache.Credential{}
		case n < 3:
			s.Update(t.Context(), owner, func(tx *ccstore.Tx) error { return tx.Destroy(name) })
			delete(model, name)
		case n < 15:
			cred := Ticket(client, server)
			cred.Key.Type = int16(17 + rnd.IntN(2))
			cred.EndTime += rnd.Uint32N(3)
			s.Update(t.Context(), owner, func(tx *ccstore.Tx) error { return tx.Store(name, cred) })
			if list, ok := model[name]; ok {
				if i := slices.IndexFunc(list, cred.Replaces); i >= 0 {
					list[i] = cred
				} else {
					model[name] = append(list, cred)
				}
			}
		default:
			m := randomMatch(rnd, client, server)
			s.Update(t.Context(), owner, func(tx *ccstore.Tx) error { _, err := tx.Remove(name, m); return err })
			if list, ok := model[name]; ok {
				model[name] = slices.DeleteFunc(list, m.Matches)
			}
		}
		compare(t, view(t, s, owner), model)
		for name, list := range model {
			compareFind(t, cacheOf(t, s, owner, name), list, randomMatch(rnd, client, server))
		}
		if t.Failed() {
			return
		}
	}
}

func randomMatch(rnd *rand.Rand, client, server string) *ccache.Match {
	m := &ccache.Match{EndTime: EndTime + 1, KeyType: 17}
	if rnd.IntN(2) == 0 {
		p := Principal(client)
		m.Client = &p
	}
	if rnd.IntN(4) > 0 {
		p := Principal(server)
		m.Server = &p
	}
	for _, f := range []ccache.MatchFlags{ccache.MatchServerNameOnly, ccache.MatchNoRealm, ccache.MatchTimes, ccache.MatchKeyType} {
		if rnd.IntN(4) == 0 {
			m.Flags |= f
		}
	}
	return m
}

func compare(t *testing.T, c *ccstore.Collection, model map[string][]*ccache.Credential) {
	t.Helper()
	want(t, "number of caches", len(model), c.Len())
	for name, list := range model {
		cache, err := c.Cache(name)
		if err != nil {
			t.Errorf("cache %s: %v", name, err)
			continue
		}
		want(t, "number of credentials", len(list), cache.Len())
		i := 0
		for cred := range cache.Credentials() {
			if i < len(list) && !bytes.Equal(cred.Bytes(), list[i].Bytes()) {
				t.Errorf("cache %s: credential %d is for %s, want %s", name, i, cred.Server, list[i].Server)
			}
			i++
		}
	}
}

// compareFind compares Find, which uses an index, with a search of all credentials.
func compareFind(t *testing.T, cache *ccstore.Cache, list []*ccache.Credential, m *ccache.Match) {
	t.Helper()
	var first *ccache.Credential
	if i := slices.IndexFunc(list, m.Matches); i >= 0 {
		first = list[i]
	}
	got, err := cache.Find(m)
	if (first == nil) != (err != nil) || first != nil && !bytes.Equal(first.Bytes(), got.Bytes()) {
		t.Errorf("Find with flags %#x: %v, %v; want %v", m.Flags, got, err, first)
	}
}

func testClosed(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000", alice)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	none := func(*ccstore.Collection) error { return nil }
	if err := s.View(t.Context(), owner, none); !errors.Is(err, ccstore.ErrClosed) {
		t.Errorf("View: %v", err)
	}
	if err := s.Update(t.Context(), owner, func(*ccstore.Tx) error { return nil }); !errors.Is(err, ccstore.ErrClosed) {
		t.Errorf("Update: %v", err)
	}
	if _, err := s.Owners(t.Context()); !errors.Is(err, ccstore.ErrClosed) {
		t.Errorf("Owners: %v", err)
	}
	if err := s.Close(); !errors.Is(err, ccstore.ErrClosed) {
		t.Errorf("Close again: %v", err)
	}
}
