// Package seal encrypts the data of a backend. Sealed data can be opened only with
// the key of the store, for its owner, in its place.
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

// ErrAltered is the error for data that cannot be decrypted.
var ErrAltered = errors.New("it does not decrypt: it was altered, or moved from another place")

// A StoreKey is the secret of a store from which the keys of its owners are derived.
type StoreKey struct {
	secret []byte
}

// NewStoreKey derives a StoreKey from the configured key of KeySize bytes and the
// salt of the store (RFC 5869, HKDF-Extract with SHA-256). It does not keep key.
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

// Proof returns bytes that identify k and reveal nothing of it. The store keeps them
// to detect a wrong key.
func (k *StoreKey) Proof() ([]byte, error) {
	return hkdf.Expand(sha256.New, k.secret, "kcmd proof", sha256.Size)
}

// Owner derives the key of an owner, given as bytes that no other owner has. It takes
// about as long as sealing two tickets.
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

// An OwnerKey seals and opens the data of one owner, with AES-256-GCM. The ciphertext
// follows a random nonce of 96 bits. No nonce of a key may repeat: after 2^32
// credentials the probability of a repeated one is 2^-33. An owner who stores 1000
// credentials per second takes 49 days for that, and risks only their own data.
type OwnerKey struct {
	aead cipher.AEAD
}

// Seal encrypts data for a place, which is any bytes.
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
