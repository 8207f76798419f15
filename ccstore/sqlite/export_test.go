package sqlite

import (
	"database/sql"
	"errors"
	"testing"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// WithMigration adds a script to the migrations, until the test ends or the
// function that it returns is called.
func WithMigration(t *testing.T, script string) (remove func()) {
	before := migrations
	migrations = append(before[:len(before):len(before)], script)
	remove = func() { migrations = before }
	t.Cleanup(remove)
	return remove
}

// Migrations returns the scripts that make a database of the current version.
func Migrations() []string { return migrations }

// Resum computes the checksum of every row of the database anew.
func Resum(t *testing.T, db *sql.DB) {
	ctx := t.Context()
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Rollback()
	owners, err := listOwners(ctx, tx, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range owners {
		l := &loader{tx: tx, owner: ownerBytes(o)}
		if err := l.collection(ctx, o, &ccstore.Record{}); err != nil {
			t.Fatal(err)
		}
		caches, err := l.caches(ctx)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range caches {
			if _, err := tx.Exec("UPDATE caches SET sum = ? WHERE collection = ? AND id = ?", cacheSum(l.owner, &c), l.id, c.ID); err != nil {
				t.Fatal(err)
			}
		}
		rows, err := tx.Query("SELECT credentials.rowid, generation, seq, credentials.uuid, data FROM caches JOIN credentials USING (generation) WHERE collection = ?", l.id)
		if err != nil {
			t.Fatal(err)
		}
		sums := make(map[int64]int64)
		for rows.Next() {
			var r ccstore.CredentialRecord
			var rowid, generation int64
			var id []byte
			if err := rows.Scan(&rowid, &generation, &r.Seq, &id, &r.Data); err != nil {
				t.Fatal(err)
			}
			r.UUID = uuid.UUID(id)
			sums[rowid] = credentialSum(l.owner, generation, &r)
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			t.Fatal(err)
		}
		for rowid, sum := range sums {
			if _, err := tx.Exec("UPDATE credentials SET sum = ? WHERE rowid = ?", sum, rowid); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := tx.Commit(); err != nil {
		t.Fatal(err)
	}
}
