package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

func TestStore(t *testing.T) {
	storetest.Run(t, storetest.Limits{}, func(t *testing.T) storetest.Open {
		path := filepath.Join(privateDir(t), "kcmd.db")
		return func() ccstore.Backend { return open(t, path) }
	})
}

// privateDir returns a directory with mode 0700, whatever the umask.
func privateDir(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	return dir
}

func open(t *testing.T, path string) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFileIsPrivate(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	fillOne(t, s, 1000)
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) < 3 {
		t.Fatalf("files: %v, %v; want the database, its WAL and the lock", files, err)
	}
	for _, f := range files {
		st, err := os.Stat(f)
		if err != nil {
			t.Fatal(err)
		}
		if st.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %v", f, st.Mode())
		}
	}
}

func fillOne(t *testing.T, s *ccstore.Store, uid uint32) {
	t.Helper()
	err := s.Update(t.Context(), ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid}, func(tx *ccstore.Tx) error {
		tx.Initialize("x", storetest.Principal("alice@EXAMPLE.COM"))
		return tx.Store("x", storetest.TGT("alice@EXAMPLE.COM"))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestBatch has many owners commit at the same time, so that they share transactions.
// Commits that conflict do not affect the others.
func TestBatch(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b := open(t, path)
	s := storetest.New(t, b)
	fillOne(t, s, 1)
	var wg sync.WaitGroup
	for uid := range uint32(50) {
		wg.Go(func() { fillOne(t, s, 1000+uid) })
	}
	for range 10 {
		wg.Go(func() {
			owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1}
			if err := b.Commit(context.Background(), &ccstore.Commit{Owner: owner, Revision: 77}); !errors.Is(err, ccstore.ErrConflict) {
				t.Errorf("Commit: %v", err)
			}
		})
	}
	wg.Wait()
	owners, err := s.Owners(t.Context())
	if err != nil || len(owners) != 51 {
		t.Errorf("%d owners, %v; want 51", len(owners), err)
	}
}

func TestNoDirectory(t *testing.T) {
	path := filepath.Join(t.TempDir(), "none", "kcmd.db")
	if _, err := sqlite.Open(t.Context(), path, sqlite.Options{}); err == nil || !strings.Contains(err.Error(), "no such file or directory") {
		t.Errorf("Open: %v", err)
	}
}

// TestAfterKill opens the files of a killed daemon: a database and its WAL, without
// the shared index.
func TestAfterKill(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	fillOne(t, s, 1000)
	left := filepath.Join(privateDir(t), "kcmd.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(left+suffix, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	again := storetest.New(t, open(t, left))
	owners, err := again.Owners(t.Context())
	if err != nil || len(owners) != 1 {
		t.Errorf("owners %v, %v; want one", owners, err)
	}
}

// TestMadeHalf opens the files of a daemon killed while it created the database: the
// first page, and a journal that says the file was empty.
func TestMadeHalf(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	if err := open(t, path).Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, 4096); err != nil {
		t.Fatal(err)
	}
	// Magic, no pages, nonce, size of the file before, of a sector and of a page.
	journal := []byte("\xd9\xd5\x05\xf9\x20\xa1\x63\xd7" + "\x00\x00\x00\x00" + "kcmd" +
		"\x00\x00\x00\x00" + "\x00\x00\x02\x00" + "\x00\x00\x10\x00")
	journal = append(journal, make([]byte, 512-len(journal))...)
	if err := os.WriteFile(path+"-journal", journal, 0o600); err != nil {
		t.Fatal(err)
	}
	s := storetest.New(t, open(t, path))
	fillOne(t, s, 1000)
}

// TestCloseFolds checks that Close leaves a single file, which can be copied.
func TestCloseFolds(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(open(t, path), ccstore.Options{})
	fillOne(t, s, 1000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path + "-wal"); err == nil {
		t.Error("the WAL was left behind")
	}
}
