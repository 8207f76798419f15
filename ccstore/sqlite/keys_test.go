package sqlite_test

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

func TestStoreSealed(t *testing.T) {
	storetest.Run(t, storetest.Limits{}, func(t *testing.T) storetest.Open {
		path := filepath.Join(privateDir(t), "kcmd.db")
		return func() ccstore.Backend { return openWith(t, path, keyOf('A')) }
	})
}

// TestSealed stores tickets with a key: no file ever has them in plain, and the
// reopened store serves them.
func TestSealed(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(openWith(t, path, keyOf('A')), ccstore.Options{})
	fillSecret(t, s, 3)
	if found := secretsIn(t, path); len(found) > 0 {
		t.Errorf("%d tickets are in the files", len(found))
	}
	before := contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := secretsIn(t, path); len(found) > 0 {
		t.Errorf("%d tickets are in the files after the end", len(found))
	}
	s = storetest.New(t, openWith(t, path, keyOf('A')))
	if diff := cmp.Diff(before, contents(t, s)); diff != "" {
		t.Errorf("contents (-before +after):\n%s", diff)
	}
	if len(before) != 18 {
		t.Errorf("%d credentials, want 18", len(before))
	}
}

// files returns the contents of the files of a database.
func files(t *testing.T, path string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			t.Fatal(err)
		}
		all[suffix] = string(b)
	}
	return all
}

// TestKeyRefused opens a store with a wrong key.
func TestKeyRefused(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, openWith(t, path, keyOf('A')))
	fillOne(t, s, 1000)
	// A killed daemon leaves a WAL.
	left := filepath.Join(privateDir(t), "kcmd.db")
	for suffix, text := range files(t, path) {
		if err := os.WriteFile(left+suffix, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	before := files(t, left)
	if before["-wal"] == "" {
		t.Fatal("there is no WAL")
	}
	for _, tt := range []struct {
		name string
		key  []byte
		want string
	}{
		{"none", nil, "cannot open store " + left + ": the database is encrypted but no key is configured"},
		{"another", keyOf('B'), "cannot open store " + left + ": the database is encrypted with another key than the configured one"},
		{"short", keyOf('A')[1:], "cannot open store " + left + ": the key has 31 bytes, allowed are 32"},
		{"empty", []byte{}, "cannot open store " + left + ": the key has 0 bytes, allowed are 32"},
	} {
		b, err := sqlite.Open(t.Context(), left, sqlite.Options{Key: tt.key})
		if err == nil {
			b.Close()
			t.Fatalf("%s: was opened", tt.name)
		}
		if err.Error() != tt.want {
			t.Errorf("%s: error %q, want %q", tt.name, err, tt.want)
		}
		if diff := cmp.Diff(before, files(t, left)); diff != "" {
			t.Errorf("%s: the files were changed", tt.name)
		}
	}
	again := storetest.New(t, openWith(t, left, keyOf('A')))
	if n := len(contents(t, again)); n != 1 {
		t.Errorf("%d credentials with the right key, want 1", n)
	}
}

// TestSealedLater configures a key for an unencrypted store: Open refuses it until
// Rekey has encrypted all of it, quarantined credentials too.
func TestSealedLater(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(open(t, path), ccstore.Options{})
	fillSecret(t, s, 20)
	before := contents(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	tamper(t, path, "UPDATE credentials SET quarantined = 'for a reason' WHERE generation = 1 AND seq = 1")
	if found := secretsIn(t, path); len(found) != 120 {
		t.Fatalf("%d tickets are in the files, want 120", len(found))
	}
	mustNotOpen(t, path, keyOf('A'), sqlite.ErrNotEncrypted)
	if done, err := sqlite.Rekey(t.Context(), path, nil, keyOf('A')); err != nil || done.Credentials != 120 {
		t.Fatalf("Rekey: %+v, %v", done, err)
	}
	for range 2 {
		if found := secretsIn(t, path); len(found) > 0 {
			t.Errorf("%d tickets are in the files", len(found))
		}
		s = ccstore.Open(openWith(t, path, keyOf('A')), ccstore.Options{})
		after := contents(t, s)
		if len(after) != len(before)-1 {
			t.Errorf("%d credentials, want all but one of %d", len(after), len(before))
		}
		for id, data := range after {
			if before[id] != data {
				t.Errorf("%s is not what it was", id)
			}
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	mustNotOpen(t, path, nil, sqlite.ErrNoKey)
}

// mustNotOpen opens a store with a wrong key, which must not change the files.
func mustNotOpen(t *testing.T, path string, key []byte, want error) {
	t.Helper()
	before := files(t, path)
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{Key: key})
	if err == nil {
		b.Close()
	}
	if !errors.Is(err, want) {
		t.Errorf("Open: %v, want %v", err, want)
	}
	if diff := cmp.Diff(before, files(t, path)); diff != "" {
		t.Error("the files were changed")
	}
}

// TestKeyDeleted deletes the key of an encrypted store and replaces the credentials
// by plain ones: Open refuses it.
func TestKeyDeleted(t *testing.T) {
	dir := privateDir(t)
	plain, sealed := filepath.Join(dir, "plain.db"), filepath.Join(dir, "kcmd.db")
	for path, key := range map[string][]byte{plain: nil, sealed: keyOf('A')} {
		s := ccstore.Open(openWith(t, path, key), ccstore.Options{})
		fillSecret(t, s, 1)
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	exec(t, sealed, "DELETE FROM keys; DELETE FROM credentials; ATTACH '"+plain+"' AS plain; INSERT INTO credentials SELECT * FROM plain.credentials")
	mustNotOpen(t, sealed, keyOf('A'), sqlite.ErrNotEncrypted)

	// Without credentials the database gets the key.
	exec(t, sealed, "DELETE FROM credentials")
	s := ccstore.Open(openWith(t, sealed, keyOf('A')), ccstore.Options{})
	fillSecret(t, s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if found := secretsIn(t, sealed); len(found) > 0 {
		t.Errorf("%d tickets are in the files", len(found))
	}
}

// resum makes the checksums valid after rows were changed.
func resum(t *testing.T, path string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	sqlite.Resum(t, db)
}

// TestTampered changes rows of an encrypted store. Only the changed ones are
// quarantined.
func TestTampered(t *testing.T) {
	const first = "rowid = (SELECT min(rowid) FROM credentials)"
	for _, tt := range []struct {
		name, query string
		left        int // served, of 12 credentials
	}{
		{"a byte more", "UPDATE credentials SET data = CAST(data || x'00' AS BLOB) WHERE " + first, 11},
		{"cut", "UPDATE credentials SET data = substr(data, 1, 20) WHERE " + first, 11},
		{"called plain", "UPDATE credentials SET sealed = NULL WHERE " + first, 11},
		{"another UUID", "UPDATE credentials SET uuid = randomblob(16) WHERE " + first, 11},
		{"copied to another row", `UPDATE credentials SET data = (SELECT data FROM credentials WHERE ` + first + `)
			WHERE rowid = (SELECT max(rowid) FROM credentials)`, 11},
		{"moved to another cache", `UPDATE credentials SET id = 2 << 32 | 100 WHERE ` + first, 11},
		{"moved to another user", `UPDATE credentials SET id = 3 << 32 | 100 WHERE ` + first, 11},
		{"a cache with another generation", "UPDATE caches SET generation = 77 WHERE generation = 1; UPDATE credentials SET id = 77 << 32 | seq WHERE generation = 1", 9},
		{"a collection of another user", "UPDATE collections SET uid = 7777 WHERE id = 1", 6},
		{"a collection of another namespace", "UPDATE collections SET namespace = 'x' WHERE id = 1", 6},
		{"a collection of another level", "UPDATE collections SET level = 's0' WHERE id = 1", 6},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(privateDir(t), "kcmd.db")
			s := ccstore.Open(openWith(t, path, keyOf('A')), ccstore.Options{})
			fillSecret(t, s, 2)
			before := contents(t, s)
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			// An attacker can compute checksums.
			tamper(t, path, tt.query)
			resum(t, path)
			s = storetest.New(t, openWith(t, path, keyOf('A')))
			after := contents(t, s)
			if len(after) != tt.left {
				t.Errorf("%d credentials are served, want %d", len(after), tt.left)
			}
			for id, data := range after {
				if before[id] != data {
					t.Errorf("%s is served, and is not what it was", id)
				}
			}
			quarantined := 0
			owners, err := s.Owners(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			for _, o := range owners {
				if err := s.View(t.Context(), o, func(c *ccstore.Collection) error { quarantined += c.Quarantined(); return nil }); err != nil {
					t.Fatal(err)
				}
			}
			if quarantined != 12-tt.left {
				t.Errorf("%d are quarantined, want %d", quarantined, 12-tt.left)
			}
		})
	}
}

// TestRowOfOtherStore copies the credentials of an encrypted store to an unencrypted
// one, and those of a store with another key to an encrypted one: none is opened.
func TestRowOfOtherStore(t *testing.T) {
	for _, tt := range []struct {
		name     string
		from, to []byte
		keys     string // changes the keys of the copy
		want     string
	}{
		{"encrypted to unencrypted", keyOf('A'), nil, "INSERT INTO keys SELECT id, salt, proof, NULL FROM other.keys", "it is encrypted, and the store is not"},
		{"another key", keyOf('A'), keyOf('B'), "INSERT INTO keys SELECT 9, salt, proof, NULL FROM other.keys", "it is encrypted with another key than that of the store"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			other, _ := filled(t, 1, tt.from)
			path, _ := filled(t, 1, tt.to)
			exec(t, path, "ATTACH '"+other+"' AS other; "+tt.keys+"; DELETE FROM credentials; INSERT INTO credentials SELECT * FROM other.credentials; UPDATE credentials SET sealed = (SELECT id FROM keys WHERE current IS NULL)")
			resum(t, path)
			b := openWith(t, path, tt.to)
			defer b.Close()
			r, err := b.Load(t.Context(), user(1000))
			if err != nil || len(r.Credentials) != 6 {
				t.Fatalf("%d credentials, %v; want 6", len(r.Credentials), err)
			}
			for _, c := range r.Credentials {
				if c.Err == nil || c.Err.Error() != tt.want || c.Data != nil {
					t.Errorf("%d bytes, %v; want %s", len(c.Data), c.Err, tt.want)
				}
			}
		})
	}
}
