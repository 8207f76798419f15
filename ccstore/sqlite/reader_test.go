package sqlite_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

func openReader(t *testing.T, path string) *sqlite.Reader {
	t.Helper()
	r, err := sqlite.OpenReader(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// TestReader reads the database of a running backend.
func TestReader(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b := open(t, path)
	s := storetest.New(t, b)
	fillOne(t, s, 1000)
	r := openReader(t, path)
	want, err := b.Load(t.Context(), user(1000))
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Load(t.Context(), user(1000))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("collection (-backend +reader):\n%s", diff)
	}
	fillOne(t, s, 1001)
	if owners, err := r.Owners(t.Context()); err != nil || !slices.Equal(owners, []ccstore.Owner{user(1000), user(1001)}) {
		t.Errorf("owners %v, %v", owners, err)
	}
	if findings, err := r.Check(t.Context()); err != nil || len(findings) > 0 {
		t.Errorf("Check: %v, %v", findings, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestReaderLeavesNothing reads a closed database, for which SQLite by default would
// create files.
func TestReaderLeavesNothing(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(open(t, path), ccstore.Options{})
	fillOne(t, s, 1000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before, _ := filepath.Glob(filepath.Dir(path) + "/*")
	r := openReader(t, path)
	if owners, err := r.Owners(t.Context()); err != nil || len(owners) != 1 {
		t.Errorf("owners %v, %v", owners, err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if after, _ := filepath.Glob(filepath.Dir(path) + "/*"); !slices.Equal(before, after) {
		t.Errorf("files after: %v, before: %v", after, before)
	}
}

// TestReaderIsOvertaken has a backend open the database after the reader did.
func TestReaderIsOvertaken(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	open(t, path).Close()
	r := openReader(t, path)
	s := storetest.New(t, open(t, path))
	fillOne(t, s, 1000)
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "begun to use it") {
		t.Errorf("Close: %v", err)
	}

	path = filepath.Join(privateDir(t), "kcmd.db")
	open(t, path).Close()
	r = openReader(t, path)
	s = ccstore.Open(open(t, path), ccstore.Options{})
	fillOne(t, s, 1000)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err == nil || !strings.Contains(err.Error(), "begun to use it") {
		t.Errorf("Close after the backend was closed: %v", err)
	}
}

// TestReaderChecks finds rows without parent row. The tests of damage cover the
// findings of SQLite.
func TestReaderChecks(t *testing.T) {
	for _, tt := range []struct{ change, want string }{
		{"DELETE FROM deadlines WHERE kind = 'reaping'", "1 rows of deadlines are wrong or missing"},
		{"DELETE FROM caches", "row 4294967297 of credentials belongs to no row of caches"},
		{"DELETE FROM collections", "a row of caches belongs to no row of collections"},
	} {
		path := filepath.Join(privateDir(t), "kcmd.db")
		s := ccstore.Open(open(t, path), ccstore.Options{})
		fillOne(t, s, 1000)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, path, tt.change)
		r := openReader(t, path)
		if findings, err := r.Check(t.Context()); err != nil || !slices.Contains(findings, tt.want) {
			t.Errorf("%s: %q, %v; want %q", tt.change, findings, err, tt.want)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestStrangeRows reads rows with values that kcmd never writes.
func TestStrangeRows(t *testing.T) {
	for _, change := range []string{
		"UPDATE caches SET uuid = x'00'", "UPDATE credentials SET uuid = zeroblob(17)", "UPDATE caches SET kdc_offset = 1 << 40",
		"UPDATE collections SET revision = -1",
	} {
		path := filepath.Join(privateDir(t), "kcmd.db")
		s := ccstore.Open(open(t, path), ccstore.Options{})
		fillOne(t, s, 1000)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		exec(t, path, "PRAGMA ignore_check_constraints = 1; "+change)
		r := openReader(t, path)
		if _, err := r.Load(t.Context(), user(1000)); !sqlite.Damaged(err) {
			t.Errorf("%s: %v, want that it is damaged", change, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	dir := privateDir(t)
	other := filepath.Join(dir, "other.db")
	exec(t, other, "CREATE TABLE notes (text)")
	empty := filepath.Join(dir, "empty.db")
	write(t, empty, nil)
	for path, want := range map[string]string{
		other:                          "database of another program",
		empty:                          "its version is 0; kcmd brings it to version",
		filepath.Join(dir, "none.db"):  "there is no such file",
		filepath.Join(dir, "no/a.db"):  "no such file or directory",
		dir:                            "it is not a regular file",
		"/" + strings.Repeat("x", 600): "its path has 601 bytes; allowed: 480",
	} {
		r, err := sqlite.OpenReader(t.Context(), path, nil)
		if err == nil {
			r.Close()
			t.Errorf("%s was opened", path)
			continue
		}
		if !strings.Contains(err.Error(), want) || sqlite.Damaged(err) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
	}
}

// TestReaderOfSealed reads an encrypted store with its key, without one, and with
// another one.
func TestReaderOfSealed(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b := openWith(t, path, keyOf('A'))
	s := storetest.New(t, b)
	fillOne(t, s, 1000)
	want, err := b.Load(t.Context(), user(1000))
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range [][]byte{keyOf('A'), nil} {
		r, err := sqlite.OpenReader(t.Context(), path, key)
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Load(t.Context(), user(1000))
		if err != nil {
			t.Fatal(err)
		}
		if key != nil {
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("collection (-backend +reader):\n%s", diff)
			}
		} else if c := got.Credentials[0]; !errors.Is(c.Err, sqlite.ErrNoKey) || c.Data != nil {
			t.Errorf("without a key: %v", c.Err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := sqlite.OpenReader(t.Context(), path, keyOf('B')); !errors.Is(err, sqlite.ErrWrongKey) {
		t.Errorf("with another key: %v", err)
	}
}
