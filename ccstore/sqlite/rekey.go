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

// Resealed says what was done to a store to have it sealed with a key, or with
// none.
type Resealed struct {
	Credentials int // that are sealed as they shall be now
	Quarantined int // that could not be opened, and are quarantined
}

// Rekey has the store at path sealed with the key to in place of from; nil is
// none. It does so in one transaction: a store is sealed with one key or with
// the other, whenever it is interrupted. Where it was done already, only what
// is left of the former contents is wiped out, and the result is empty.
func Rekey(ctx context.Context, path string, from, to []byte) (Resealed, error) {
	done, err := rekey(ctx, path, from, to)
	if err != nil {
		return Resealed{}, fmt.Errorf("cannot change the key of store %s: %w", path, err)
	}
	return done, nil
}

func rekey(ctx context.Context, path string, from, to []byte) (Resealed, error) {
	if _, err := os.Stat(path); err != nil {
		return Resealed{}, err // there is nothing to change
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
	f.letGo()
	return done, f.lock.Close()
}

func (f *files) rekey(ctx context.Context, from, to []byte) (done Resealed, err error) {
	db, err := f.openCurrent(ctx, Full, keyIsEither(from, to))
	if err != nil {
		return done, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if sealed, err := sealedWith(ctx, db, to); err != nil {
		return done, err
	} else if !sealed {
		key, err := findKey(ctx, db, from)
		if err != nil {
			return done, err
		}
		if _, done, err = reseal(ctx, db, key, to); err != nil {
			return Resealed{}, err
		}
	}
	// Where it was done already, the wiping may be missing.
	return done, checkpoint(ctx, db)
}

// sealedWith reports whether that is the key of the store, nil being none.
func sealedWith(ctx context.Context, q querier, given []byte) (bool, error) {
	key, err := findKey(ctx, q, given)
	if errors.Is(err, ErrNoKey) || errors.Is(err, ErrWrongKey) {
		return false, nil
	}
	return err == nil && (key == nil) == (given == nil), err
}

// reseal has all credentials sealed with the key to, which becomes the key of
// the store, in place of from.
func reseal(ctx context.Context, db *sql.DB, from *storeKey, to []byte) (*storeKey, Resealed, error) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return nil, Resealed{}, err
	}
	defer tx.Rollback() // does nothing after Commit
	// What belongs to no cache would stay as it is.
	if _, err := tx.ExecContext(ctx, "DELETE FROM credentials WHERE generation IN (SELECT generation FROM discarded)"); err != nil {
		return nil, Resealed{}, err
	}
	key, err := setKey(ctx, tx, to)
	if err != nil {
		return nil, Resealed{}, err
	}
	r := &resealing{from: from, to: key}
	if err := r.all(ctx, tx); err != nil {
		return nil, Resealed{}, err
	}
	if err := dropKeys(ctx, tx); err != nil {
		return nil, Resealed{}, err
	}
	return key, r.done, tx.Commit()
}

// A resealing goes through the credentials of all owners.
type resealing struct {
	from, to *storeKey
	done     Resealed

	next, update, quarantine *sql.Stmt
}

// A sealedRow is what a resealing needs to know of a credential.
type sealedRow struct {
	rowid, generation, sum int64
	owner                  ccstore.Owner
	stored                 ccstore.CredentialRecord
	uuid                   []byte
	sealed                 sql.NullInt64
	quarantined            bool
}

// all goes through them one by one: all together may be more than the memory
// holds.
func (r *resealing) all(ctx context.Context, tx *sql.Tx) error {
	for _, s := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&r.next, `SELECT credentials.rowid, namespace, uid, level, generation, seq, credentials.uuid,
			sealed, data, credentials.sum, credentials.quarantined IS NOT NULL
			FROM credentials JOIN caches USING (generation) JOIN collections ON collections.id = collection
			WHERE credentials.rowid > ? ORDER BY credentials.rowid LIMIT 1`},
		{&r.update, "UPDATE credentials SET sealed = ?, data = ?, sum = ? WHERE rowid = ?"},
		{&r.quarantine, "UPDATE credentials SET quarantined = ? WHERE rowid = ?"},
	} {
		var err error
		if *s.stmt, err = tx.PrepareContext(ctx, s.query); err != nil {
			return err
		}
		defer (*s.stmt).Close()
	}
	var row sealedRow
	for {
		err := r.next.QueryRowContext(ctx, row.rowid).Scan(&row.rowid, &row.owner.Namespace, &row.owner.UID, &row.owner.Level,
			&row.generation, &row.stored.Seq, &row.uuid, &row.sealed, &row.stored.Data, &row.sum, &row.quarantined)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := r.one(ctx, &row); err != nil {
			return err
		}
	}
}

// one seals a credential anew. One that cannot be opened is quarantined, as it
// would be when it is loaded, and stays sealed as it is.
func (r *resealing) one(ctx context.Context, row *sealedRow) error {
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
		_, err = r.quarantine.ExecContext(ctx, why.Error(), row.rowid)
		return err
	}
	stored, sealed := to.seal(row.generation, row.stored.UUID, data)
	row.stored.Data = stored
	r.done.Credentials++
	_, err = r.update.ExecContext(ctx, sealed, stored, credentialSum(owner, row.generation, &row.stored), row.rowid)
	return err
}

// open returns the credential of the row, unless it is not what was stored.
func (row *sealedRow) open(owner []byte, key *ownerKey) ([]byte, error) {
	if err := checkSum(row.sum, credentialSum(owner, row.generation, &row.stored)); err != nil {
		return nil, err
	}
	return key.open(row.generation, row.stored.UUID, row.stored.Data, row.sealed)
}
