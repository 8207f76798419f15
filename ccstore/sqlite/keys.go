package sqlite

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"database/sql"
	"errors"

	"kcmd.org/kcmd/ccstore/seal"
)

// KeySize is the size of the key of a store, in bytes.
const KeySize = seal.KeySize

// The errors of Open for a key that does not match the database.
var (
	// ErrNoKey is the error for an encrypted database if there is no key.
	ErrNoKey = errors.New("the database is encrypted but no key is configured")

	// ErrWrongKey is the error for a database that is encrypted with another key.
	ErrWrongKey = errors.New("the database is encrypted with another key than the configured one")

	// ErrNotEncrypted is the error for unencrypted credentials if there is a key.
	// Rekey encrypts them.
	ErrNotEncrypted = errors.New("a key is configured but the database is not encrypted")
)

// A querier is a database, or a transaction in it.
type querier interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// findKey derives the key of the store from the given one; nil if the store is not
// encrypted. It fails with ErrNoKey and ErrWrongKey.
func findKey(ctx context.Context, q querier, given []byte) (*storeKey, error) {
	var id int64
	var salt, proof []byte
	err := q.QueryRowContext(ctx, "SELECT id, salt, proof FROM keys WHERE current = 1").Scan(&id, &salt, &proof)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	if given == nil {
		return nil, ErrNoKey
	}
	secret, own, err := derive(given, salt)
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(own, proof) {
		return nil, ErrWrongKey
	}
	return &storeKey{id, secret}, nil
}

// derive returns the key of a store for the given one, and the proof of it.
func derive(given, salt []byte) (key *seal.StoreKey, proof []byte, err error) {
	if key, err = seal.NewStoreKey(given, salt); err != nil {
		return nil, nil, err
	}
	proof, err = key.Proof()
	return key, proof, err
}

// A keyCheck refuses a database that has the wrong key. It changes nothing.
type keyCheck func(ctx context.Context, q querier) error

// keyIs refuses a database with another key than the given one. If a key is given it
// also refuses unencrypted credentials: an attacker could have deleted the row of the
// key and replaced the encrypted credentials.
func keyIs(given []byte) keyCheck {
	return func(ctx context.Context, q querier) error {
		key, err := findKey(ctx, q, given)
		if err != nil || key != nil || given == nil {
			return err
		}
		var plain bool
		err = q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM credentials
			WHERE generation NOT IN (SELECT generation FROM discarded))`).Scan(&plain)
		if err == nil && plain {
			err = ErrNotEncrypted
		}
		return err
	}
}

// keyIsEither refuses a database with a key that is neither a nor b.
func keyIsEither(a, b []byte) keyCheck {
	return func(ctx context.Context, q querier) error {
		_, err := findKey(ctx, q, a)
		if err != nil {
			if _, e := findKey(ctx, q, b); e == nil {
				return nil
			}
		}
		return err
	}
}

// ensureKey returns the key of the database. A database without key and credentials
// gets the given one.
func (f *files) ensureKey(ctx context.Context, db *sql.DB, given []byte) (*storeKey, error) {
	key, err := findKey(ctx, db, given)
	if err != nil || key != nil || given == nil {
		return key, err
	}
	key, _, err = reseal(ctx, db, nil, given)
	if err != nil {
		return nil, err
	}
	f.log.Info("the store is encrypted from now on", "store", f.path)
	return key, nil
}

// setKey makes the given key, nil for none, the key of the store. It does not reseal
// the credentials.
func setKey(ctx context.Context, tx *sql.Tx, given []byte) (*storeKey, error) {
	if _, err := tx.ExecContext(ctx, "UPDATE keys SET current = NULL"); err != nil {
		return nil, err
	}
	if given == nil {
		return nil, nil
	}
	salt := make([]byte, seal.KeySize)
	rand.Read(salt) // never fails
	secret, proof, err := derive(given, salt)
	if err != nil {
		return nil, err
	}
	res, err := tx.ExecContext(ctx, "INSERT INTO keys (salt, proof, current) VALUES (?, ?, 1)", salt, proof)
	if err != nil {
		return nil, err
	}
	id, err := res.LastInsertId()
	return &storeKey{id, secret}, err
}

// dropKeys deletes the former keys with which no credential is sealed.
func dropKeys(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE current IS NULL
		AND id NOT IN (SELECT sealed FROM credentials WHERE sealed IS NOT NULL)`)
	return err
}
