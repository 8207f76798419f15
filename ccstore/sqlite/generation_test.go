package sqlite

import (
	"path/filepath"
	"slices"
	"testing"
)

// TestGenerationsRunOut takes generations after the last one: those that no cache and
// no discarded row has, none twice.
func TestGenerationsRunOut(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kcmd.db")
	db, err := connectTo(path, "_txlock=immediate", settings(Normal), 1)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := migrate(t.Context(), db); err != nil {
		t.Fatal(err)
	}
	if _, err := db.ExecContext(t.Context(), `INSERT INTO collections (id, namespace, uid, level, revision) VALUES (1, 'default', 1000, '', 1);
		INSERT INTO discarded VALUES (2), (5);
		INSERT INTO caches (collection, id, generation, uuid, name, principal, kdc_offset, label, changed, renewal, sum)
			SELECT 1, value, value, zeroblob(16), CAST(value AS BLOB), x'', 0, '', 0, '', 0 FROM json_each(?)`, "[3, 4, 7, 2147483647]"); err != nil {
		t.Fatal(err)
	}
	w, err := newWriter(t.Context(), path, db, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	var got []int64
	for range 4 {
		generation, err := w.newGeneration()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := credentialID(generation, maxSeq); err != nil {
			t.Error(err)
		}
		got = append(got, generation)
	}
	if want := []int64{1, 6, 8, 9}; !slices.Equal(got, want) {
		t.Errorf("generations %v, want %v", got, want)
	}
	if _, err := credentialID(1, maxSeq+1); err == nil {
		t.Error("a credential got the id of one in the next generation")
	}
}
