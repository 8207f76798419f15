package sqlite_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// fillMany gives a user a cache with many secret tickets.
func fillMany(t *testing.T, s *ccstore.Store, uid uint32, name string, tickets int) {
	t.Helper()
	creds := make([]*ccache.Credential, tickets)
	for i := range creds {
		creds[i] = secretTicket(uint32(i), fmt.Sprintf("host/%d@EXAMPLE.COM", i), 200)
	}
	update(t, s, user(uid), func(tx *ccstore.Tx) error {
		tx.Replace(name, storetest.Principal("alice@EXAMPLE.COM"), 0, creds)
		return nil
	})
}

// rows returns the number of rows of a table in use.
func rows(t *testing.T, path, table string) string {
	t.Helper()
	return query(t, path, "SELECT count(*) FROM "+table)[0]
}

var noRows = fmt.Sprintf("%#v", []any{int64(0)})

// TestLargeCacheDestroyed destroys and clears caches that take several transactions to
// delete: they are gone at once, their rows soon after.
func TestLargeCacheDestroyed(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	for _, name := range []string{"a", "b", "c"} {
		fillMany(t, s, 1000, name, 1800)
	}
	update(t, s, user(1000), func(tx *ccstore.Tx) error {
		tx.Initialize("b", storetest.Principal("bob@EXAMPLE.COM"))
		if err := tx.Destroy("a"); err != nil {
			return err
		}
		return tx.Destroy("c")
	})
	if rows(t, path, "credentials") == noRows {
		t.Error("all was deleted in one transaction")
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	fillMany(t, s, 1000, "a", 1)
	update(t, s, user(1000), func(tx *ccstore.Tx) error { return tx.Destroy("a") })
	eventually(t, "the rows to go", func() bool {
		return rows(t, path, "credentials") == noRows && rows(t, path, "discarded") == noRows
	})
	gone(t, path, every)
}

// TestLargeCacheDestroyedThenKilled starts after a kill between the destruction of a
// cache and the deletion of its rows.
func TestLargeCacheDestroyedThenKilled(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(open(t, path), ccstore.Options{})
	fillMany(t, s, 1000, "a", 1800)
	fillMany(t, s, 1001, "b", 600)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	exec(t, path, "INSERT INTO discarded SELECT generation FROM caches; DELETE FROM caches")
	r := openReader(t, path)
	if findings, err := r.Check(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("Check: %v, %v", findings, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	s = storetest.New(t, open(t, path))
	eventually(t, "the rows to go", func() bool {
		return rows(t, path, "credentials") == noRows && rows(t, path, "discarded") == noRows
	})
	gone(t, path, every)
	fillMany(t, s, 1000, "a", 3)
}

// TestDiscardedIsNotKept encrypts a store that still has rows of a destroyed cache.
func TestDiscardedIsNotKept(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(open(t, path), ccstore.Options{})
	fillMany(t, s, 1000, "a", 5)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	exec(t, path, "INSERT INTO discarded SELECT generation FROM caches; DELETE FROM caches")
	if done, err := sqlite.Rekey(t.Context(), path, nil, keyOf('A')); err != nil || done.Credentials != 0 {
		t.Errorf("Rekey: %+v, %v", done, err)
	}
	if found := secretsIn(t, path); len(found) > 0 {
		t.Errorf("%d tickets are in the files", len(found))
	}
}

// TestBatchWithFailure has commits share a transaction with one that fails halfway:
// that one leaves nothing, and the others are written.
func TestBatchWithFailure(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b := open(t, path)
	s := storetest.New(t, b)
	done := make(chan error)
	const commits = 40
	for uid := range uint32(commits) {
		go func() {
			record := ccstore.CacheRecord{ID: 1, Name: "x", Principal: storetest.Principal("alice@EXAMPLE.COM").Append(nil), Deadlines: ccstore.Deadlines{ccstore.Expiry: ccstore.Never, ccstore.Renewing: ccstore.Never}}
			record.UUID[0] = byte(uid)
			ops := []ccstore.Op{ccstore.PutCache{CacheRecord: record}}
			if uid%4 == 0 {
				ops = append(ops, ccstore.PutCredential{CredentialRecord: ccstore.CredentialRecord{Cache: 7, Seq: 1}}) // no such cache
			}
			err := b.Commit(t.Context(), &ccstore.Commit{Owner: user(uid), Ops: ops})
			if failed := err != nil; failed != (uid%4 == 0) {
				err = fmt.Errorf("commit %d: %w", uid, err)
			} else {
				err = nil
			}
			done <- err
		}()
	}
	for range commits {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	owners, err := s.Owners(t.Context())
	if err != nil || len(owners) != commits-commits/4 {
		t.Errorf("%d owners, %v; want %d", len(owners), err, commits-commits/4)
	}
	if found := strings.Join(query(t, path, "SELECT uid FROM collections WHERE uid % 4 = 0"), ""); found != "" {
		t.Errorf("a failed commit left %s", found)
	}
}
