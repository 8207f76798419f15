package sqlite

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// KeySize is the size of the key that a store is sealed with, in bytes.
const KeySize = 32

// A storeKey is the key of the whole store, from which those of the owners are
// derived. It is a secret. nil is the key of a store that is not sealed.
type storeKey struct {
	id     int64  // in the table of keys
	secret []byte // extracted from the key that was given, and the salt
}

// extract makes a storeKey of the key that was given. That itself is not needed
// any longer then.
func extract(key, salt []byte) (*storeKey, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key has %d bytes, allowed are %d", len(key), KeySize)
	}
	secret, err := hkdf.Extract(sha256.New, key, salt)
	if err != nil {
		return nil, err
	}
	return &storeKey{secret: secret}, nil
}

// proof returns what tells k from other keys, and tells nothing of k.
func (k *storeKey) proof() ([]byte, error) {
	return hkdf.Expand(sha256.New, k.secret, "kcmd proof", sha256.Size)
}

// owner derives the key of one owner. It takes no longer than to seal a ticket
// or two, so that none is kept.
func (k *storeKey) owner(o ccstore.Owner) (*ownerKey, error) {
	if k == nil {
		return nil, nil
	}
	info := binary.BigEndian.AppendUint32([]byte("kcmd owner"), o.UID)
	for _, s := range []string{o.Namespace, o.Level} {
		info = binary.BigEndian.AppendUint32(info, uint32(len(s)))
		info = append(info, s...)
	}
	key, err := hkdf.Expand(sha256.New, k.secret, string(info), KeySize)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, err
	}
	return &ownerKey{id: k.id, aead: aead}, nil
}

// An ownerKey seals and opens the credentials of one owner. nil leaves them as
// they are.
//
// Each is sealed with AES-256-GCM under a random nonce of 96 bits, which stands
// before it. Two nonces of a key must not be the same; after 2^32 credentials
// the odds of that are 2^-33. An owner who stores a thousand in every second is
// there after 49 days, and is the only one whom it concerns.
type ownerKey struct {
	id   int64
	aead cipher.AEAD
}

// What is wrong with a row that does not open.
var (
	errNotSealed = errors.New("it is not encrypted, as all that kcmd has stored here is")
	errSealed    = errors.New("it is encrypted, in a store that is not")
	errOtherKey  = errors.New("it is encrypted with another key than that of the store")
	errAltered   = errors.New("it does not decrypt: it was altered, or moved from another place")
)

// seal returns what is stored of a credential, and the key for the column
// sealed.
func (k *ownerKey) seal(cache, credential uuid.UUID, data []byte) (stored []byte, sealed sql.NullInt64) {
	if k == nil {
		return data, sealed
	}
	return k.aead.Seal(nil, nil, data, place(cache, credential)), sql.NullInt64{Int64: k.id, Valid: true}
}

// open returns the credential that seal was given, if it stands where seal was
// told that it will.
func (k *ownerKey) open(cache, credential uuid.UUID, stored []byte, sealed sql.NullInt64) ([]byte, error) {
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
	data, err := k.aead.Open(nil, nil, stored, place(cache, credential))
	if err != nil {
		return nil, errAltered
	}
	return data, nil
}

// place says where a credential belongs within what its owner has. The owner
// is in the key.
func place(cache, credential uuid.UUID) []byte {
	return append(cache[:], credential[:]...)
}
