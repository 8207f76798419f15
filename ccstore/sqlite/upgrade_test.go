package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
)

// laterMigration is a script of an imaginary later version.
const laterMigration = `
ALTER TABLE caches ADD COLUMN note TEXT;
CREATE TABLE notes (id INTEGER PRIMARY KEY, text TEXT NOT NULL) STRICT;
INSERT INTO notes SELECT generation, 'a note' FROM caches;
UPDATE caches SET note = (SELECT text FROM notes WHERE id = generation);
`

// current creates a database of the current version with credentials.
func current(t *testing.T) (path string) {
	t.Helper()
	path = filepath.Join(privateDir(t), "kcmd.db")
	s := ccstore.Open(open(t, path), ccstore.Options{})
	fillSecret(t, s, 2)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// query returns the rows of a query as text.
func query(t *testing.T, path, query string) []string {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query(query)
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for rows.Next() {
		values, into := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			into[i] = &values[i]
		}
		if err := rows.Scan(into...); err != nil {
			t.Fatal(err)
		}
		list = append(list, fmt.Sprintf("%#v", values))
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return list
}

// everything returns all rows of a database in the columns of the current version.
func everything(t *testing.T, path string) (list []string) {
	t.Helper()
	for _, q := range []string{
		"SELECT id, namespace, uid, level, revision, commits, default_name FROM collections ORDER BY id",
		"SELECT generation, collection, id, uuid, name, principal, changed, expiry, reaping, quarantined, sum FROM caches ORDER BY 1",
		"SELECT generation, seq, uuid, sealed, data, quarantined, sum FROM credentials ORDER BY 1, 2",
	} {
		rows := query(t, path, q)
		if len(rows) == 0 {
			t.Fatalf("no rows: %s", q)
		}
		list = append(list, rows...)
	}
	return list
}

func userVersion(t *testing.T, path string) (version int) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.QueryRow("PRAGMA user_version").Scan(&version); err != nil {
		t.Fatal(err)
	}
	return version
}

const schemaOf = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"

// TestUpgrade opens a database with a later version of kcmd: the rows are kept, the
// schema is that of a new database, and opening it again changes nothing. The current
// version then refuses it.
func TestUpgrade(t *testing.T) {
	path := current(t)
	before, version := everything(t, path), len(sqlite.Migrations())
	remove := sqlite.WithMigration(t, laterMigration)
	fresh := filepath.Join(privateDir(t), "kcmd.db")
	open(t, fresh).Close()
	open(t, path).Close()
	if diff := cmp.Diff(before, everything(t, path)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
	if notes := query(t, path, "SELECT note FROM caches WHERE note = 'a note'"); len(notes) != 4 {
		t.Errorf("the script has changed %d caches, want 4", len(notes))
	}
	if diff := cmp.Diff(query(t, fresh, schemaOf), query(t, path, schemaOf)); diff != "" {
		t.Errorf("schema (-new +upgraded):\n%s", diff)
	}
	for _, p := range []string{fresh, path} {
		if got := userVersion(t, p); got != version+1 {
			t.Errorf("version %d, want %d", got, version+1)
		}
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	open(t, path).Close()
	if again, err := os.ReadFile(path); err != nil || !bytes.Equal(file, again) {
		t.Error("opening it again changed it")
	}

	remove()
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		b.Close()
	}
	if want := fmt.Sprintf("its version is %d", version+1); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("an older kcmd opens it: %v, want %q", err, want)
	}
}

// TestUpgradeFails has a script fail at its end: the database is unchanged, and the
// current version can open it.
func TestUpgradeFails(t *testing.T) {
	path := current(t)
	version := len(sqlite.Migrations())
	all := append(everything(t, path), query(t, path, schemaOf)...)
	remove := sqlite.WithMigration(t, laterMigration+"INSERT INTO missing VALUES (1);")
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		b.Close()
		t.Fatal("was opened")
	}
	if want := fmt.Sprintf("upgrade to version %d: ", version+1); !strings.Contains(err.Error(), want) {
		t.Errorf("error %q, want it to say %q", err, want)
	}
	if diff := cmp.Diff(all, append(everything(t, path), query(t, path, schemaOf)...)); diff != "" {
		t.Errorf("a failed upgrade left something (-before +after):\n%s", diff)
	}
	if got := userVersion(t, path); got != version {
		t.Errorf("version %d, want %d", got, version)
	}
	remove()
	open(t, path).Close()
}

// TestUpgradeKilled opens a database after an upgrade was killed between its writes
// and its commit.
func TestUpgradeKilled(t *testing.T) {
	path := current(t)
	before := everything(t, path)
	execKilled(t, path, "WAL", "BEGIN; "+laterMigration+"; UPDATE collections SET revision = 99; UPDATE credentials SET data = zeroblob(9999)")
	if st, err := os.Stat(path + "-wal"); err != nil || st.Size() == 0 {
		t.Fatalf("nothing was written: %v", err)
	}
	sqlite.WithMigration(t, laterMigration)
	open(t, path).Close()
	if diff := cmp.Diff(before, everything(t, path)); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
	if got := userVersion(t, path); got != len(sqlite.Migrations()) {
		t.Errorf("version %d, want %d", got, len(sqlite.Migrations()))
	}
}

// TestReaderRefusesOlder reads a database of an older version, which a Reader cannot
// upgrade.
func TestReaderRefusesOlder(t *testing.T) {
	path := current(t)
	sqlite.WithMigration(t, laterMigration)
	r, err := sqlite.OpenReader(t.Context(), path, nil)
	if err == nil {
		r.Close()
	}
	if err == nil || !strings.Contains(err.Error(), "kcmd brings it to version") {
		t.Errorf("OpenReader: %v", err)
	}
}

// ofVersion makes a database as an older kcmd made it, from a copy that does not follow
// the schema of today.
func ofVersion(t *testing.T, version int) (path string) {
	t.Helper()
	script, err := os.ReadFile(fmt.Sprintf("testdata/version%d.sql", version))
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(privateDir(t), "kcmd.db")
	exec(t, path, "PRAGMA journal_mode = WAL")
	exec(t, path, string(script))
	return path
}

// TestUpgradeReleased opens a database of version 2, that of kcmd 0.2: the rows are
// kept, the schema is that of a new database, and the store finds nothing wrong.
func TestUpgradeReleased(t *testing.T) {
	path := ofVersion(t, 2)
	before := everything(t, path)
	fresh := filepath.Join(privateDir(t), "kcmd.db")
	open(t, fresh).Close()
	s := ccstore.Open(open(t, path), ccstore.Options{})
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
	for kind, want := range map[ccstore.DeadlineKind]int{ccstore.Expiry: 4, ccstore.Reaping: 6} {
		due, err := s.Due(t.Context(), kind, 0, ccstore.Never-1, 99)
		if err != nil || len(due) != want {
			t.Errorf("%d deadlines of kind %d, %v, want %d", len(due), kind, err, want)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	after := everything(t, path)
	// The credential of no cache, in version2.sql the last row, is deleted.
	if diff := cmp.Diff(before[:len(before)-1], after); diff != "" {
		t.Errorf("what is stored (-before +after):\n%s", diff)
	}
	if diff := cmp.Diff(query(t, fresh, schemaOf), query(t, path, schemaOf)); diff != "" {
		t.Errorf("schema (-new +upgraded):\n%s", diff)
	}
	r, err := sqlite.OpenReader(t.Context(), path, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if findings, err := r.Check(t.Context()); len(findings) > 0 || err != nil {
		t.Errorf("findings: %v, %v", findings, err)
	}
}

// TestUpgradeReleasedFails has a database of version 2 with a number that the next
// version cannot keep: it is left as it is.
func TestUpgradeReleasedFails(t *testing.T) {
	path := ofVersion(t, 2)
	exec(t, path, "UPDATE credentials SET seq = 1 << 32 WHERE generation = 2")
	before := append(everything(t, path), query(t, path, schemaOf)...)
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err == nil {
		b.Close()
		t.Error("was opened")
	}
	if diff := cmp.Diff(before, append(everything(t, path), query(t, path, schemaOf)...)); diff != "" {
		t.Errorf("a failed upgrade left something (-before +after):\n%s", diff)
	}
}
