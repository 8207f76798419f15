package helper

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
	"errors"
	"hash"
)

var (
	errEnctype   = errors.New("the encryption type is not known")
	errIntegrity = errors.New("the key does not fit")
)

// An enctype is an encryption type with AES.
type enctype struct {
	keySize, macSize int
	newHash          func() hash.Hash
	derive           func(key []byte, usage uint32, what byte, size int, newHash func() hash.Hash) []byte
	macFirst         bool // the MAC is of the plain text, else of the encrypted one
}

// enctypes are those of RFC 3962 and RFC 8009.
var enctypes = map[int32]enctype{
	17: {16, 12, sha1.New, derive3961, true},
	18: {32, 12, sha1.New, derive3961, true},
	19: {16, 16, sha256.New, derive8009, false},
	20: {32, 24, sha512.New384, derive8009, false},
}

// What keys are derived for (RFC 3961, section 5.3).
const (
	forEncryption = 0xaa
	forIntegrity  = 0x55
)

// decrypt returns the plain text of what was encrypted with a key for a usage.
func decrypt(of int32, key []byte, usage uint32, b []byte) ([]byte, error) {
	e, ok := enctypes[of]
	if !ok {
		return nil, errEnctype
	}
	if len(key) != e.keySize || len(b) < aes.BlockSize+e.macSize {
		return nil, errIntegrity
	}
	macKeySize := e.keySize
	if !e.macFirst {
		macKeySize = e.macSize
	}
	encrypted, mac := b[:len(b)-e.macSize], b[len(b)-e.macSize:]
	block, err := aes.NewCipher(e.derive(key, usage, forEncryption, e.keySize, e.newHash))
	if err != nil {
		return nil, err
	}
	plain := decryptCTS(block, encrypted)
	h := hmac.New(e.newHash, e.derive(key, usage, forIntegrity, macKeySize, e.newHash))
	if e.macFirst {
		h.Write(plain)
	} else {
		h.Write(make([]byte, aes.BlockSize)) // the initial vector
		h.Write(encrypted)
	}
	if !hmac.Equal(h.Sum(nil)[:e.macSize], mac) {
		clear(plain)
		return nil, errIntegrity
	}
	return plain[aes.BlockSize:], nil // without the confounder
}

// decryptCTS decrypts at least one block in the mode CBC-CS3 with an initial vector of
// zeros.
func decryptCTS(block cipher.Block, in []byte) []byte {
	const size = aes.BlockSize
	previous := make([]byte, size)
	out := make([]byte, 0, len(in)+size)
	one := make([]byte, size)
	next := func(c []byte) {
		block.Decrypt(one, c)
		for i := range one {
			one[i] ^= previous[i]
		}
		out = append(out, one...)
		copy(previous, c)
	}
	if len(in) == size {
		next(in)
		return out
	}
	tail := (len(in)-1)%size + 1
	for ; len(in) > size+tail; in = in[size:] {
		next(in[:size])
	}
	// The last two blocks are exchanged, and the last one is padded with the end of
	// the other one, decrypted.
	last := make([]byte, size)
	block.Decrypt(last, in[:size])
	padded := append(append([]byte(nil), in[size:]...), last[tail:]...)
	next(padded)
	for i := range tail {
		out = append(out, last[i]^padded[i])
	}
	return out
}

// derive8009 derives a key of size bytes (RFC 8009, section 3).
func derive8009(key []byte, usage uint32, what byte, size int, newHash func() hash.Hash) []byte {
	h := hmac.New(newHash, key)
	b := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 1}, usage)
	h.Write(binary.BigEndian.AppendUint32(append(b, what, 0), uint32(8*size)))
	return h.Sum(nil)[:size]
}

// derive3961 derives a key of size bytes (RFC 3961, section 5.1).
func derive3961(key []byte, usage uint32, what byte, size int, _ func() hash.Hash) []byte {
	block, err := aes.NewCipher(key)
	if err != nil {
		panic(err) // its length was checked
	}
	b := nFold(append(binary.BigEndian.AppendUint32(nil, usage), what), aes.BlockSize)
	var derived []byte
	for len(derived) < size {
		block.Encrypt(b, b)
		derived = append(derived, b...)
	}
	return derived[:size]
}

// nFold makes n bytes of b: the sum, in ones' complement, of copies of b, each rotated
// by 13 bits more than the one before, as many as fit into a multiple of both lengths
// (RFC 3961, section 5.1).
func nFold(b []byte, n int) []byte {
	bits := 8 * len(b)
	total := len(b) * n / gcd(len(b), n)
	out := make([]byte, n)
	carry := 0
	add := func(i, value int) {
		carry += int(out[i]) + value
		out[i] = byte(carry)
		carry >>= 8
	}
	for i := total - 1; i >= 0; i-- {
		// Byte i of the copies: that of the copy i/len(b), which is rotated to the right.
		value := 0
		for bit := range 8 {
			at := (8*(i%len(b)) + bit - 13*(i/len(b))) % bits
			at = (at + bits) % bits
			value = value<<1 | int(b[at/8]>>(7-at%8))&1
		}
		add(i%n, value)
	}
	for carry != 0 {
		for i := n - 1; i >= 0; i-- {
			add(i, 0)
		}
	}
	return out
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
