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

// What Open says of a key that does not fit the database.
var (
	// ErrNoKey is the error for an encrypted database if there is no key.
	ErrNoKey = errors.New("the database is encrypted but no key is configured")

	// ErrWrongKey is the error for a database that is encrypted with another key.
	ErrWrongKey = errors.New("the database is encrypted with another key than the configured one")

	// ErrNotEncrypted is the error for a database with credentials that are not
	// encrypted if there is a key. Rekey encrypts them.
	ErrNotEncrypted = errors.New("a key is configured but the database is not encrypted")
)

// A querier is a database, or a transaction in it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
	QueryRowContext(ctx context.Context, query string, args ...any) *sql.Row
}

// findKey returns the key that the store is sealed with, made from the one that
// is given; nil if the store is not sealed. It fails with ErrNoKey and
// ErrWrongKey.
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
	secret, err := seal.NewStoreKey(given, salt)
	if err != nil {
		return nil, err
	}
	own, err := secret.Proof()
	if err != nil {
		return nil, err
	}
	if !hmac.Equal(own, proof) {
		return nil, ErrWrongKey
	}
	return &storeKey{id, secret}, nil
}

// A keyCheck refuses a database for its key, and changes nothing.
type keyCheck func(ctx context.Context, q querier) error

// keyIs refuses a database with another key than the one that is given, and one
// with credentials and without a key if there is one: somebody could have deleted
// the key and put credentials of his own in the place of the encrypted ones.
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

// unlock returns the key of the database. A database that has none and no
// credentials gets the one that is given, if there is one.
func (f *files) unlock(ctx context.Context, db *sql.DB, given []byte) (*storeKey, error) {
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

// setKey makes the key that is given the key of the store, or has it have none
// if that is nil. What is stored is not sealed anew by that.
func setKey(ctx context.Context, tx *sql.Tx, given []byte) (*storeKey, error) {
	if _, err := tx.ExecContext(ctx, "UPDATE keys SET current = NULL"); err != nil {
		return nil, err
	}
	if given == nil {
		return nil, nil
	}
	salt := make([]byte, seal.KeySize)
	rand.Read(salt) // never fails
	secret, err := seal.NewStoreKey(given, salt)
	if err != nil {
		return nil, err
	}
	proof, err := secret.Proof()
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

// dropKeys removes the keys with which nothing is sealed any longer.
func dropKeys(ctx context.Context, tx *sql.Tx) error {
	_, err := tx.ExecContext(ctx, `DELETE FROM keys WHERE current IS NULL
		AND id NOT IN (SELECT sealed FROM credentials WHERE sealed IS NOT NULL)`)
	return err
}
