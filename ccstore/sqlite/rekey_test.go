package sqlite_test

import (
	"context"
	"database/sql"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// filled creates a store encrypted with key, and returns its path and contents.
func filled(t *testing.T, users int, key []byte) (path string, all map[string]string) {
	t.Helper()
	path = filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(openWith(t, path, key), ccstore.Options{})
	fillSecret(t, s, users)
	all = contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path, all
}

// expectContents compares the contents of a store.
func expectContents(t *testing.T, path string, key []byte, all map[string]string) {
	t.Helper()
	s := ccstore.Open(openWith(t, path, key), ccstore.Options{})
	defer s.Close()
	if diff := cmp.Diff(all, contents(t, s)); diff != "" {
		t.Errorf("contents (-want +got):\n%.1000s", diff)
	}
}

// stored returns the data of the credentials as stored.
func stored(t *testing.T, path string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT data FROM credentials ORDER BY rowid")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var list []string
	for rows.Next() {
		var data string
		if err := rows.Scan(&data); err != nil {
			t.Fatal(err)
		}
		list = append(list, data)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestRekey changes the key: the new key opens everything, the old one is refused, and
// a second Rekey changes nothing.
func TestRekey(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to []byte
		old      error // with the old key
	}{
		{"to a key", nil, keyOf('A'), sqlite.ErrNoKey},
		{"to another key", keyOf('A'), keyOf('B'), sqlite.ErrWrongKey},
		{"to none", keyOf('A'), nil, nil},
		{"to the same key", keyOf('A'), keyOf('A'), nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path, all := filled(t, 5, tt.from)
			before := stored(t, path)
			want := sqlite.Resealed{Credentials: 30}
			changes := string(tt.from) != string(tt.to)
			if !changes {
				want.Credentials = 0
			}
			for range 2 {
				got, err := sqlite.Rekey(t.Context(), path, tt.from, tt.to)
				if err != nil || got != want {
					t.Errorf("%+v, %v; want %+v", got, err, want)
				}
				want = sqlite.Resealed{}
			}
			// An overflow page has a part of the row without gaps.
			text := strings.Join([]string{files(t, path)[""], files(t, path)["-wal"]}, "")
			for _, data := range before {
				if changes == strings.Contains(text, data[:min(len(data), 500)]) {
					t.Fatalf("the former data is gone: %v", !changes)
				}
			}
			if found := secretsIn(t, path); len(found) > 0 && tt.to != nil {
				t.Errorf("%d tickets are in the files", len(found))
			}
			expectContents(t, path, tt.to, all)
			if tt.old == nil {
				return
			}
			if b, err := sqlite.Open(t.Context(), path, sqlite.Options{Key: tt.from}); !errors.Is(err, tt.old) {
				if err == nil {
					b.Close()
				}
				t.Errorf("with the old key: %v, want %v", err, tt.old)
			}
		})
	}
}

// TestRekeyQuarantined has rows that cannot be opened. They keep their data and their
// key, and are never served.
func TestRekeyQuarantined(t *testing.T) {
	path, all := filled(t, 1, keyOf('A'))
	tamper(t, path, "UPDATE credentials SET data = CAST(data || x'00' AS BLOB) WHERE id IN (SELECT id FROM credentials ORDER BY id LIMIT 2)")
	tamper(t, path, "UPDATE credentials SET quarantined = 'known already' WHERE id IN (SELECT id FROM credentials ORDER BY id LIMIT 2 OFFSET 1)")
	before := stored(t, path)

	done, err := sqlite.Rekey(t.Context(), path, keyOf('A'), keyOf('B'))
	if want := (sqlite.Resealed{Credentials: 4, Quarantined: 1}); err != nil || done != want {
		t.Errorf("%+v, %v; want %+v", done, err, want)
	}
	done, err = sqlite.Rekey(t.Context(), path, keyOf('B'), keyOf('C'))
	if want := (sqlite.Resealed{Credentials: 4}); err != nil || done != want {
		t.Errorf("%+v, %v; want %+v", done, err, want)
	}
	after := stored(t, path)
	for i := range before {
		if kept := before[i] == after[i]; kept != (i < 2) {
			t.Errorf("row %d is unchanged: %v", i+1, kept)
		}
	}
	s := ccstore.Open(openWith(t, path, keyOf('C')), ccstore.Options{})
	got := contents(t, s)
	if len(got) != 3 {
		t.Errorf("%d credentials are served, want 3", len(got))
	}
	for id, data := range got {
		if all[id] != data {
			t.Errorf("%s is not what it was", id)
		}
	}
	for _, name := range []string{"a", "b"} {
		if err := s.Update(t.Context(), user(1000), func(tx *ccstore.Tx) error { return tx.Destroy(name) }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	// The first key is deleted with the last row that it sealed.
	if _, err := sqlite.Rekey(t.Context(), path, keyOf('C'), nil); err != nil {
		t.Error(err)
	}
	expectContents(t, path, nil, map[string]string{})
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var keys int
	if err := db.QueryRow("SELECT count(*) FROM keys").Scan(&keys); err != nil || keys != 0 {
		t.Errorf("%d keys are left, %v", keys, err)
	}
}

// TestRekeyInterrupted interrupts Rekey at random: the store has one of the two keys
// and all its contents.
func TestRekeyInterrupted(t *testing.T) {
	path, all := filled(t, 40, keyOf('A'))
	from, to := keyOf('A'), keyOf('B')
	interrupted := 0
	for range 12 {
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(rand.IntN(60))*time.Millisecond)
		_, err := sqlite.Rekey(ctx, path, from, to)
		cancel()
		if err != nil {
			interrupted++
			b, err := sqlite.Open(t.Context(), path, sqlite.Options{Key: from})
			if err == nil {
				b.Close()
				expectContents(t, path, from, all)
				continue
			}
		}
		expectContents(t, path, to, all)
		from, to = to, from
	}
	t.Logf("%d of 12 were interrupted", interrupted)
	if interrupted == 0 {
		t.Error("none was interrupted")
	}
}

func TestRekeyRefused(t *testing.T) {
	path, _ := filled(t, 1, keyOf('A'))
	before := files(t, path)
	missing := filepath.Join(filepath.Dir(path), "missing.db")
	inUse := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, inUse))
	fillOne(t, s, 1000)
	for _, tt := range []struct {
		path     string
		from, to []byte
		want     string
	}{
		{path, nil, keyOf('B'), path + ": the database is encrypted but no key is configured"},
		{path, keyOf('B'), keyOf('C'), path + ": the database is encrypted with another key than the configured one"},
		{path, keyOf('B'), nil, path + ": the database is encrypted with another key than the configured one"},
		{path, keyOf('A'), []byte("short"), path + ": the key has 5 bytes, allowed are 32"},
		{missing, nil, keyOf('A'), missing + ": stat " + missing + ": no such file or directory"},
		{inUse, nil, keyOf('A'), inUse + ": another process uses it"},
	} {
		_, err := sqlite.Rekey(t.Context(), tt.path, tt.from, tt.to)
		if want := "cannot change the key of store " + tt.want; err == nil || err.Error() != want {
			t.Errorf("%v, want %s", err, want)
		}
		if diff := cmp.Diff(before, files(t, path)); diff != "" {
			t.Errorf("%v: the files were changed", err)
		}
	}
	if _, err := os.Stat(missing); err == nil {
		t.Error("a store was created")
	}
}
