package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// Resealed counts what Rekey has changed.
type Resealed struct {
	Credentials int // sealed with the new key
	Quarantined int // could not be opened, and are quarantined
}

// Rekey encrypts the store at path with the key to in place of from; nil means
// unencrypted. It does so in one transaction: if it is interrupted, the store has
// one of the two keys. If the store has the key to already, Rekey only erases the
// rest of its former contents, and the result is zero.
func Rekey(ctx context.Context, path string, from, to []byte) (Resealed, error) {
	done, err := rekey(ctx, path, from, to)
	if err != nil {
		return Resealed{}, fmt.Errorf("cannot change the key of store %s: %w", path, err)
	}
	return done, nil
}

func rekey(ctx context.Context, path string, from, to []byte) (Resealed, error) {
	if _, err := os.Stat(path); err != nil {
		return Resealed{}, err // openCurrent would create it
	}
	f, err := claim(path, slog.New(slog.DiscardHandler))
	if err != nil {
		return Resealed{}, err
	}
	done, err := f.rekey(ctx, from, to)
	if err != nil {
		f.release()
		return Resealed{}, err
	}
	f.unlockDatabase()
	return done, f.lock.Close()
}

func (f *files) rekey(ctx context.Context, from, to []byte) (done Resealed, err error) {
	db, err := f.openCurrent(ctx, Full, keyIsEither(from, to))
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	sealed, err := sealedWith(ctx, db, to)
	if err != nil {
		return done, err
	}
	if !sealed {
		key, err := findKey(ctx, db, from)
		if err != nil {
			return done, err
		}
		if _, done, err = reseal(ctx, db, key, to); err != nil {
			return Resealed{}, err
		}
	}
	// An interrupted Rekey may have left former contents in the WAL.
	_, err = wipe(ctx, db, f.path, true, truncate)
	return done, err
}

// sealedWith reports whether the store has the given key, nil for none.
func sealedWith(ctx context.Context, q querier, given []byte) (bool, error) {
	key, err := findKey(ctx, q, given)
	if errors.Is(err, ErrNoKey) || errors.Is(err, ErrWrongKey) {
		return false, nil
	}
	return err == nil && (key == nil) == (given == nil), err
}

// reseal encrypts all credentials with the key to, which replaces from as the key of
// the store, in one transaction.
func reseal(ctx context.Context, db *sql.DB, from *storeKey, to []byte) (*storeKey, Resealed, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, Resealed{}, err
	}
	defer tx.Rollback() // does nothing after Commit
	// Credentials without cache have no owner to seal them for.
	if _, err := tx.ExecContext(ctx, "DELETE FROM credentials WHERE generation IN (SELECT generation FROM discarded)"); err != nil {
		return nil, Resealed{}, err
	}
	key, err := setKey(ctx, tx, to)
	if err != nil {
		return nil, Resealed{}, err
	}
	r := &resealer{from: from, to: key}
	if err := r.run(ctx, tx); err != nil {
		return nil, Resealed{}, err
	}
	if err := dropKeys(ctx, tx); err != nil {
		return nil, Resealed{}, err
	}
	return key, r.done, tx.Commit()
}

// A resealer seals the credentials of all owners with another key.
type resealer struct {
	from, to *storeKey
	done     Resealed

	next, update, quarantine *sql.Stmt
}

// A sealedRow is a credential as stored.
type sealedRow struct {
	id, generation, sum int64
	owner               ccstore.Owner
	stored              ccstore.CredentialRecord
	uuid                []byte
	sealed              sql.NullInt64
	quarantined         bool
}

// run reads the credentials one by one: all of them may not fit into memory. The
// temporary table is in memory, and is an index of the caches by generation.
func (r *resealer) run(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, `CREATE TEMP TABLE generations (generation INTEGER PRIMARY KEY, collection INTEGER);
		INSERT INTO generations SELECT generation, collection FROM caches`); err != nil {
		return err
	}
	if err := r.resealAll(ctx, tx); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DROP TABLE generations")
	return err
}

func (r *resealer) resealAll(ctx context.Context, tx *sql.Tx) error {
	err := prepare(ctx, tx, []statement{
		{&r.next, `SELECT credentials.id, namespace, uid, level, generation, seq, uuid, sealed, data, sum, quarantined IS NOT NULL
			FROM credentials JOIN generations USING (generation) JOIN collections ON collections.id = collection
			WHERE credentials.id > ? ORDER BY credentials.id LIMIT 1`},
		{&r.update, "UPDATE credentials SET sealed = ?, data = ?, sum = ? WHERE id = ?"},
		{&r.quarantine, "UPDATE credentials SET quarantined = ? WHERE id = ?"},
	})
	for row := (sealedRow{}); err == nil; {
		err = r.next.QueryRowContext(ctx, row.id).Scan(&row.id, &row.owner.Namespace, &row.owner.UID, &row.owner.Level,
			&row.generation, &row.stored.Seq, &row.uuid, &row.sealed, &row.stored.Data, &row.sum, &row.quarantined)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			err = r.reseal(ctx, &row)
		}
	}
	return err
}

// reseal seals a credential with the new key. One that cannot be opened is
// quarantined, as when it is loaded, and keeps its key.
func (r *resealer) reseal(ctx context.Context, row *sealedRow) error {
	owner := ownerBytes(row.owner)
	from, err := r.from.owner(owner)
	if err != nil {
		return err
	}
	to, err := r.to.owner(owner)
	if err != nil {
		return err
	}
	if row.stored.UUID, err = uuid.FromBytes(row.uuid); err != nil {
		return notAsWritten(err)
	}
	data, why := row.open(owner, from)
	if why != nil {
		if row.quarantined {
			return nil
		}
		r.done.Quarantined++
		_, err = r.quarantine.ExecContext(ctx, why.Error(), row.id)
		return err
	}
	r.done.Credentials++
	row.stored.Data, row.sealed = to.seal(row.generation, row.stored.UUID, data)
	_, err = r.update.ExecContext(ctx, row.sealed, row.stored.Data, credentialSum(owner, row.generation, &row.stored), row.id)
	return err
}

// open checks the checksum and returns the opened credential.
func (row *sealedRow) open(owner []byte, key *ownerKey) ([]byte, error) {
	if err := checkSum(row.sum, credentialSum(owner, row.generation, &row.stored)); err != nil {
		return nil, err
	}
	return key.open(row.generation, row.stored.UUID, row.stored.Data, row.sealed)
}
