package sqlite_test

import (
	"bytes"
	"database/sql"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// versions returns the number of versions that the schema has had.
func versions(t *testing.T) int {
	t.Helper()
	files, err := os.ReadDir("schema")
	if err != nil || len(files) == 0 {
		t.Fatalf("schema: %v, %v", files, err)
	}
	return len(files)
}

// ofVersion makes a database as kcmd made it at an older version, from a copy
// that does not follow what is in schema today.
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

func eachVersion(t *testing.T, f func(t *testing.T, version int)) {
	for version := 1; version < versions(t); version++ {
		t.Run(fmt.Sprint("version=", version), func(t *testing.T) { f(t, version) })
	}
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

// inEachVersion returns what every version stores.
func inEachVersion(t *testing.T, path string) (list []string) {
	t.Helper()
	for _, q := range []string{
		"SELECT id, namespace, uid, level, revision, default_name FROM collections ORDER BY id",
		"SELECT collection, id, uuid, name, principal, kdc_offset, label, changed FROM caches ORDER BY 1, 2",
		"SELECT collection, cache, seq, uuid, data FROM credentials ORDER BY 1, 2, 3",
	} {
		rows := query(t, path, q)
		if len(rows) == 0 {
			t.Fatalf("there is nothing: %s", q)
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

// TestUpgrade opens databases of older versions: all is there, the schema is
// that of a new one, and opening it again changes nothing.
func TestUpgrade(t *testing.T) {
	fresh := filepath.Join(privateDir(t), "kcmd.db")
	open(t, fresh).Close()
	const schema = "SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name"
	eachVersion(t, func(t *testing.T, version int) {
		path := ofVersion(t, version)
		before := inEachVersion(t, path)
		open(t, path).Close()
		if diff := cmp.Diff(before, inEachVersion(t, path)); diff != "" {
			t.Errorf("what is stored (-before +after):\n%s", diff)
		}
		if diff := cmp.Diff(query(t, fresh, schema), query(t, path, schema)); diff != "" {
			t.Errorf("schema (-new +upgraded):\n%s", diff)
		}
		if got := userVersion(t, path); got != versions(t) {
			t.Errorf("version %d, want %d", got, versions(t))
		}
		if found := query(t, path, "PRAGMA foreign_key_check"); found != nil {
			t.Errorf("foreign keys: %v", found)
		}
		file, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		open(t, path).Close()
		if again, err := os.ReadFile(path); err != nil || !bytes.Equal(file, again) {
			t.Error("opening it again changed it")
		}
	})
}

// TestUpgradedIsUsed uses such a database as a store.
func TestUpgradedIsUsed(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		path := ofVersion(t, version)
		s := storetest.New(t, open(t, path))
		owners, err := s.Owners(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		// Who has no cache, but a default.
		owners = append(owners, ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1001})
		slices.SortFunc(owners, ccstore.Owner.Compare)
		var got []string
		for _, owner := range owners {
			err := s.View(t.Context(), owner, func(c *ccstore.Collection) error {
				got = append(got, fmt.Sprintf("%s, default %q, %d quarantined", owner, c.DefaultName(), c.Quarantined()))
				for _, cache := range c.Caches() {
					got = append(got, fmt.Sprintf("  %q %s %+d %s: %d tickets of %d, ends %d",
						cache.Name, cache.Principal, cache.KDCOffset, cache.Label, cache.Tickets(), cache.Len(), cache.Ends()))
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		const label = "system_u:system_r:container_t:s0:c1,c2"
		want := []string{
			`1000, default "1000:ends", 0 quarantined`,
			`  "1000:ends" alice@EXAMPLE.COM -7 : 2 tickets of 2, ends 2000000000`,
			`  "1000" alice@EXAMPLE.COM +0 : 3 tickets of 4, ends 4100000000`,
			`  "1000:endless" alice@EXAMPLE.COM +0 : 1 tickets of 1, ends 9223372036854775807`,
			`  "1000:empty" bob@EXAMPLE.COM +0 : 0 tickets of 0, ends 9223372036854775807`,
			`  "1000:\xff \"quoted\"é" a\/b/` + "\xfe" + `/@R\0\n +0 : 0 tickets of 0, ends 9223372036854775807`,
			`  "1000:config only" alice@EXAMPLE.COM +0 : 0 tickets of 1, ends 9223372036854775807`,
			`1000 at s0:c1,c2, default "1000", 0 quarantined`,
			`  "1000" bob@EXAMPLE.COM +0 ` + label + `: 1 tickets of 1, ends 4100000000`,
			`1001, default "1001:later", 0 quarantined`,
			`1002, default "1002", 2 quarantined`,
			`  "1002" bob@EXAMPLE.COM +0 : 1 tickets of 1, ends 4100000000`,
			`4294967294, default "4294967294", 0 quarantined`,
			`  "1000" bob@EXAMPLE.COM +0 ` + label + `: 1 tickets of 1, ends 4100000000`,
			`1000 in guests, default "1000", 0 quarantined`,
			`  "1000" bob@EXAMPLE.COM +0 ` + label + `: 1 tickets of 1, ends 4100000000`,
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("store (-want +got):\n%s", diff)
		}
		// The ends, which version 1 did not have, are those of the tickets.
		due, err := s.Due(t.Context(), 2_000_000_000, 9)
		if err != nil || len(due) != 1 || due[0].Ends != 2_000_000_000 {
			t.Errorf("due: %v, %v", due, err)
		}
		for _, owner := range owners {
			if err := add(t, s, owner); err != nil {
				t.Error(err)
			}
		}
	})
}

// TestUpgradeFails has something in the way of an upgrade: the database stays
// what it was, and is upgraded when that is gone.
func TestUpgradeFails(t *testing.T) {
	// In the way of the last statement of a script.
	obstacles := map[int]struct{ build, remove, want string }{
		1: {"CREATE INDEX caches_by_end ON collections (uid)", "DROP INDEX caches_by_end", "upgrade to version 2: "},
		2: {"ALTER TABLE credentials ADD COLUMN sum TEXT", "ALTER TABLE credentials DROP COLUMN sum", "upgrade to version 3: "},
	}
	eachVersion(t, func(t *testing.T, version int) {
		o, ok := obstacles[version]
		if !ok {
			t.Fatal("say what could be in the way of the upgrade from this version")
		}
		path := ofVersion(t, version)
		exec(t, path, o.build)
		all := append(inEachVersion(t, path), query(t, path, "SELECT * FROM sqlite_schema")...)
		b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
		if err == nil {
			b.Close()
			t.Fatal("was opened")
		}
		if !strings.Contains(err.Error(), o.want) {
			t.Errorf("error %q, want it to say %q", err, o.want)
		}
		if diff := cmp.Diff(all, append(inEachVersion(t, path), query(t, path, "SELECT * FROM sqlite_schema")...)); diff != "" {
			t.Errorf("a failed upgrade left something (-before +after):\n%s", diff)
		}
		if got := userVersion(t, path); got != version {
			t.Errorf("version %d, want %d", got, version)
		}
		exec(t, path, o.remove)
		open(t, path).Close()
	})
}

// TestUpgradeKilled has an upgrade killed before it was committed, when it had
// written already.
func TestUpgradeKilled(t *testing.T) {
	eachVersion(t, func(t *testing.T, version int) {
		path := ofVersion(t, version)
		before := inEachVersion(t, path)
		scripts, err := filepath.Glob("schema/*.sql")
		if err != nil {
			t.Fatal(err)
		}
		script, err := os.ReadFile(scripts[version])
		if err != nil {
			t.Fatal(err)
		}
		execKilled(t, path, "WAL", "BEGIN; "+string(script)+"; UPDATE collections SET revision = 99; UPDATE credentials SET data = zeroblob(9999)")
		if st, err := os.Stat(path + "-wal"); err != nil || st.Size() == 0 {
			t.Fatalf("nothing was written: %v", err)
		}
		open(t, path).Close()
		if diff := cmp.Diff(before, inEachVersion(t, path)); diff != "" {
			t.Errorf("what is stored (-before +after):\n%s", diff)
		}
		if got := userVersion(t, path); got != versions(t) {
			t.Errorf("version %d, want %d", got, versions(t))
		}
	})
}
