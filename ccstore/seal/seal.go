// Package seal encrypts what a backend stores, so that it can be read with the
// key of the store only, and only in the place where it was stored.
//
// It imports nothing of kcmd.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeySize is the size of a store's key and of the salt, in bytes.
const KeySize = 32

// ErrAltered is the error for data that does not decrypt.
var ErrAltered = errors.New("it does not decrypt: it was altered, or moved from another place")

// A StoreKey is the key of a whole store, from which the keys of its owners are
// derived. It is a secret.
type StoreKey struct {
	secret []byte
}

// NewStoreKey makes a StoreKey of the key of KeySize bytes that the administrator
// configured, which is not needed any longer then, and of the salt of the store
// (RFC 5869, HKDF-Extract with SHA-256).
func NewStoreKey(key, salt []byte) (*StoreKey, error) {
	if len(key) != KeySize {
		return nil, fmt.Errorf("the key has %d bytes, allowed are %d", len(key), KeySize)
	}
	secret, err := hkdf.Extract(sha256.New, key, salt)
	if err != nil {
		return nil, err
	}
	return &StoreKey{secret}, nil
}

// Proof returns bytes that tell k from other keys and reveal nothing of k. They
// are stored, so that a wrong key is noticed before anything is decrypted.
func (k *StoreKey) Proof() ([]byte, error) {
	return hkdf.Expand(sha256.New, k.secret, "kcmd proof", sha256.Size)
}

// Owner derives the key of one owner, identified by bytes that no other owner
// has. That takes as long as sealing a ticket or two.
func (k *StoreKey) Owner(owner []byte) (*OwnerKey, error) {
	key, err := hkdf.Expand(sha256.New, k.secret, "kcmd owner"+string(owner), KeySize)
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
	return &OwnerKey{aead}, nil
}

// An OwnerKey seals and opens the data of one owner, with AES-256-GCM under a
// random nonce of 96 bits, which is stored before the ciphertext. Two nonces of a
// key must not be the same; after 2^32 credentials the odds of that are 2^-33. An
// owner who stores a thousand in every second gets there after 49 days, and risks
// only what is his own.
type OwnerKey struct {
	aead cipher.AEAD
}

// Seal encrypts data for a place, given as any bytes.
func (k *OwnerKey) Seal(place, data []byte) []byte {
	return k.aead.Seal(nil, nil, data, place)
}

// Open returns the data that was sealed for that place. It fails with ErrAltered.
func (k *OwnerKey) Open(place, sealed []byte) ([]byte, error) {
	data, err := k.aead.Open(nil, nil, sealed, place)
	if err != nil {
		return nil, ErrAltered
	}
	return data, nil
}
