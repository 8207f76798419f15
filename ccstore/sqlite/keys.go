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

// What Open says of a key that does not fit the store.
var (
	// ErrNoKey is the error for a store that is sealed if no key is given.
	ErrNoKey = errors.New("it is encrypted, and no key is given")

	// ErrWrongKey is the error for a store that is sealed with another key
	// than the one that is given.
	ErrWrongKey = errors.New("it is encrypted with another key than the one that is given")
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

// unlock finds the key of the store. A store that has none is sealed with the
// one that is given, if there is one.
func (b *Backend) unlock(ctx context.Context, o Options) (err error) {
	if b.key, err = findKey(ctx, b.write, o.Key); err != nil {
		return err
	}
	if o.rekey != nil {
		return o.rekey.run(ctx, b)
	}
	if b.key != nil || o.Key == nil {
		return nil
	}
	var done Resealed
	if b.key, done, err = reseal(ctx, b.write, nil, o.Key); err != nil {
		return err
	}
	b.log.Info("store is encrypted from now on", "store", b.path, "credentials", done.Credentials)
	return wipe(ctx, b.write)
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
