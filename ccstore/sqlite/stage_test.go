package sqlite_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// manyTickets is more than one transaction writes.
const manyTickets = 3000

// TestLargeCommits makes random large commits, which are written in pieces. The
// database has then what a backend in memory has.
func TestLargeCommits(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	for _, key := range [][]byte{nil, keyOf('A')} {
		b, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal, Key: key})
		if err != nil {
			t.Fatal(err)
		}
		model := memory.New()
		seed := rand.Uint64()
		t.Logf("seed %d", seed)
		g := &largeCommits{r: rand.New(rand.NewPCG(seed, 0)), caches: make(map[uint64]map[uint64]bool)}
		for revision := range uint64(12) {
			c := &ccstore.Commit{ID: uuid.New(), Owner: user(1000), Revision: revision, Ops: g.ops()}
			if err := errors.Join(b.Commit(t.Context(), c), model.Commit(t.Context(), c)); err != nil {
				t.Fatal(err)
			}
			sameRecord(t, load(t, model), load(t, b))
		}
		eventually(t, "the former rows to go", func() bool { return rows(t, path, "discarded") == noRows })
		if err := b.Close(); err != nil {
			t.Fatal(err)
		}
		path = filepath.Join(privateDir(t), "kcmd.db")
	}
}

// largeCommits makes commits that are possible one after the other.
type largeCommits struct {
	r      *rand.Rand
	caches map[uint64]map[uint64]bool // sequence numbers of credentials
}

func (g *largeCommits) ops() (ops []ccstore.Op) {
	for range 2 + g.r.IntN(10) {
		id, seq := 1+g.r.Uint64N(3), g.r.Uint64N(900)
		cache := ccstore.CacheRecord{ID: id, Name: fmt.Sprint(id), Principal: []byte{byte(g.r.IntN(256))}}
		ops = append(ops, ccstore.PutCache{CacheRecord: cache})
		if g.caches[id] == nil {
			g.caches[id] = make(map[uint64]bool)
		}
		switch g.r.IntN(6) {
		case 0:
			ops = append(ops, ccstore.DeleteCache{ID: id})
			delete(g.caches, id)
		case 1:
			if g.caches[id][seq] {
				ops = append(ops, ccstore.DeleteCredential{Cache: id, Seq: seq})
				delete(g.caches[id], seq)
			}
		case 2:
			to := 1 + id%3
			if g.caches[to] != nil {
				ops = append(ops, ccstore.MoveCredentials{From: id, To: to})
				g.caches[to], g.caches[id] = g.caches[id], make(map[uint64]bool)
			}
		default:
			if g.r.IntN(2) == 0 {
				ops = append(ops, ccstore.ClearCache{ID: id})
				clear(g.caches[id])
			}
			for range g.r.IntN(900) {
				r := ccstore.CredentialRecord{Cache: id, Seq: g.r.Uint64N(900), UUID: uuid.New(), Data: make([]byte, 1+g.r.IntN(600))}
				ops = append(ops, ccstore.PutCredential{CredentialRecord: r})
				g.caches[id][r.Seq] = true
			}
		}
	}
	return ops
}

func load(t *testing.T, b ccstore.Backend) *ccstore.Record {
	t.Helper()
	r, err := b.Load(t.Context(), user(1000))
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(r.Caches, func(a, b ccstore.CacheRecord) int { return int(a.ID) - int(b.ID) })
	slices.SortFunc(r.Credentials, ccstore.CredentialRecord.Compare)
	return r
}

func sameRecord(t *testing.T, want, got *ccstore.Record) {
	t.Helper()
	if len(want.Caches) != len(got.Caches) || len(want.Credentials) != len(got.Credentials) {
		t.Fatalf("%d caches, %d credentials; want %d and %d", len(got.Caches), len(got.Credentials), len(want.Caches), len(want.Credentials))
	}
	for i, c := range want.Caches {
		if d := got.Caches[i]; d.Err != nil || c.ID != d.ID || c.Name != d.Name || !slices.Equal(c.Principal, d.Principal) {
			t.Errorf("cache %+v, want %+v", d, c)
		}
	}
	for i, c := range want.Credentials {
		if d := got.Credentials[i]; d.Err != nil || c.Cache != d.Cache || c.Seq != d.Seq || c.UUID != d.UUID || !slices.Equal(c.Data, d.Data) {
			t.Fatalf("credential %d of cache %d: %v; want %d of cache %d", d.Seq, d.Cache, d.Err, c.Seq, c.Cache)
		}
	}
}

// TestLargeCommitLetsOthersIn has another owner commit during a large commit.
func TestLargeCommitLetsOthersIn(t *testing.T) {
	s := storetest.New(t, open(t, filepath.Join(privateDir(t), "kcmd.db")))
	fillMany(t, s, 1001, "b", 1)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fillMany(t, s, 1000, "a", 20*manyTickets)
	}()
	for commits := 0; ; commits++ {
		select {
		case <-done:
			// It takes 120 transactions.
			if commits < 20 {
				t.Errorf("%d commits during a large one", commits)
			}
			return
		default:
			fillMany(t, s, 1001, "b", 1)
		}
	}
}

// TestLargeCommitThenKilled starts after a kill in a large commit: the cache has its
// former tickets, and the new ones are erased.
func TestLargeCommitThenKilled(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	fillMany(t, s, 1000, "a", 2)
	done := make(chan struct{})
	go func() {
		defer close(done)
		fillMany(t, s, 1000, "a", 5*manyTickets)
	}()
	eventually(t, "the first piece", func() bool { return rows(t, path, "discarded") != noRows })
	left := filepath.Join(privateDir(t), "kcmd.db")
	copyFiles(t, path, left)
	<-done
	if rows(t, left, "discarded") == noRows {
		t.Skip("the copy was made too late")
	}
	killed := storetest.New(t, open(t, left))
	eventually(t, "the rows to go", func() bool { return rows(t, left, "discarded") == noRows })
	gone(t, left, func(number uint32) bool { return number >= 2 })
	if n := tickets(t, killed, 1000, "a"); n != 2 {
		t.Errorf("%d tickets after a kill, want 2", n)
	}
	if n := tickets(t, s, 1000, "a"); n != 5*manyTickets {
		t.Errorf("%d tickets, want %d", n, 5*manyTickets)
	}
}

// TestLargeCommitConflicts makes a large commit that fails in its last transaction.
func TestLargeCommitConflicts(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b := open(t, path)
	s := storetest.New(t, b)
	fillMany(t, s, 1000, "a", 2)
	ops := []ccstore.Op{ccstore.ClearCache{ID: 1}}
	for seq := range uint64(manyTickets) {
		r := ccstore.CredentialRecord{Cache: 1, Seq: seq, UUID: uuid.New(), Data: []byte("data")}
		ops = append(ops, ccstore.PutCredential{CredentialRecord: r})
	}
	err := b.Commit(context.Background(), &ccstore.Commit{ID: uuid.New(), Owner: user(1000), Revision: 77, Ops: ops})
	if !errors.Is(err, ccstore.ErrConflict) {
		t.Errorf("%v, want %v", err, ccstore.ErrConflict)
	}
	eventually(t, "the rows to go", func() bool { return rows(t, path, "discarded") == noRows })
	if got, want := rows(t, path, "credentials"), fmt.Sprintf("%#v", []any{int64(2)}); got != want {
		t.Errorf("%s rows, want %s", got, want)
	}
}

func tickets(t *testing.T, s *ccstore.Store, uid uint32, name string) (n int) {
	t.Helper()
	err := s.View(t.Context(), user(uid), func(c *ccstore.Collection) error {
		cache, err := c.Cache(name)
		if err == nil {
			n = cache.Tickets()
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}
