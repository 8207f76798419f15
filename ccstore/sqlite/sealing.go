package sqlite

import (
	"database/sql"
	"encoding/binary"
	"errors"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/seal"
)

// A storeKey is the key of the whole store, with its number in the table of keys.
// nil is the key of a store that is not encrypted.
type storeKey struct {
	id int64
	*seal.StoreKey
}

// owner derives the key of one owner. That is quick enough to keep none.
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

// An ownerKey seals and opens the credentials of one owner. nil leaves them as
// they are.
type ownerKey struct {
	id int64
	*seal.OwnerKey
}

// What is wrong with a row that does not open.
var (
	errNotSealed = errors.New("it is not encrypted, and the store is")
	errSealed    = errors.New("it is encrypted, and the store is not")
	errOtherKey  = errors.New("it is encrypted with another key than that of the store")
)

// seal returns what is stored of a credential of a generation, and the key for the
// column sealed.
func (k *ownerKey) seal(generation int64, id uuid.UUID, data []byte) (stored []byte, sealed sql.NullInt64) {
	if k == nil {
		return data, sealed
	}
	return k.Seal(place(generation, id), data), sql.NullInt64{Int64: k.id, Valid: true}
}

// open returns the credential that was sealed for that place.
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

// place identifies a credential among those of its owner, who is in the key.
func place(generation int64, id uuid.UUID) []byte {
	return append(binary.BigEndian.AppendUint64(nil, uint64(generation)), id[:]...)
}
