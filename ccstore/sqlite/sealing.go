package sqlite

import (
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/seal"
)

// A storeKey is the key of a store, with its id in the table of keys; nil if the
// store is not encrypted.
type storeKey struct {
	id int64
	*seal.StoreKey
}

// owner derives the key of one owner.
func (k *storeKey) owner(owner []byte) (*ownerKey, error) {
	if k == nil {
		return nil, nil
	}
	key, err := k.Owner(owner)
	if err != nil {
		return nil, err
	}
	return &ownerKey{k.id, key}, nil
}

// An ownerKey seals and opens the credentials of one owner; nil leaves them plain.
type ownerKey struct {
	id int64
	*seal.OwnerKey
}

// The errors for credentials that cannot be opened.
var (
	errNotSealed = errors.New("it is not encrypted, and the store is")
	errSealed    = errors.New("it is encrypted, and the store is not")
	errOtherKey  = errors.New("it is encrypted with another key than that of the store")
)

// seal returns the values of the columns data and sealed for a credential of a
// generation.
func (k *ownerKey) seal(generation int64, id uuid.UUID, data []byte) (stored []byte, sealed sql.NullInt64) {
	if k == nil {
		return data, sealed
	}
	return k.Seal(place(generation, id), data), sql.NullInt64{Int64: k.id, Valid: true}
}

// open returns the credential that was sealed for its generation and UUID.
func (k *ownerKey) open(generation int64, id uuid.UUID, stored []byte, sealed sql.NullInt64) ([]byte, error) {
	switch {
	case k == nil && !sealed.Valid:
		return stored, nil
	case k == nil:
		return nil, errSealed
	case !sealed.Valid:
		return nil, errNotSealed
	case sealed.Int64 != k.id:
		return nil, errOtherKey
	}
	return k.Open(place(generation, id), stored)
}

// place identifies a credential among those of an owner. Each owner has another
// key.
func place(generation int64, id uuid.UUID) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(generation)), id[:]...)
}
