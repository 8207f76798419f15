// Package exchange is the secret exchange "sx-aes-1" of gcr, by which GNOME's dialogs give
// passwords to programs, on the side of the program: Diffie-Hellman in the group of 1536
// bits of RFC 3526, HKDF with SHA-256, and AES-128 in CBC mode with the padding of PKCS #7.
// It hides a password from who reads the bus, and proves nothing about the other side.
//
// It imports secret. Files, in the order in which to read them:
//
//   - exchange.go: the keys, and how a password is decrypted
//   - keyfile.go: the messages, which are key files of GLib
package exchange

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/big"

	"kcmd.org/kcmd/secret"
)

const (
	primeSize   = 1536 / 8
	privateSize = 256 / 8 // twice the strength of the group is enough
	keySize     = 16
)

// prime is that of the group, whose generator is 2.
var prime, _ = new(big.Int).SetString("FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74"+
	"020BBEA63B139B22514A08798E3404DDEF9519B3CD3A431B302B0A6DF25F1437"+
	"4FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"+
	"EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE45B3DC2007CB8A163BF05"+
	"98DA48361C55D39A69163FA8FD24CF5F83655D23DCA3AD961C62F356208552BB"+
	"9ED529077096966D670C354E4ABC9804F1746C08CA237327FFFFFFFFFFFFFFFF", 16)

// ErrNoSecret says that a message has no password.
var ErrNoSecret = errors.New("the message has no password")

var errLine = errors.New("the password has the end of a line")

// An Exchange decrypts what the other side of one conversation sends.
type Exchange struct {
	public []byte
	key    [keySize]byte
}

// New makes the keys of a conversation, by the first message of the other side.
func New(first string) (*Exchange, error) {
	m, err := parse(first)
	if err != nil {
		return nil, err
	}
	peer := new(big.Int).SetBytes(m.public)
	// For the others everybody knows the shared number.
	if peer.Cmp(big.NewInt(1)) <= 0 || peer.Cmp(new(big.Int).Sub(prime, big.NewInt(1))) >= 0 {
		return nil, errors.New("the public key is out of range")
	}
	private := make([]byte, privateSize)
	defer clear(private)
	for {
		if _, err := rand.Read(private); err != nil {
			return nil, fmt.Errorf("cannot make a key: %w", err)
		}
		x := &Exchange{}
		if x.derive(private, peer) {
			return x, nil
		}
	}
}

// derive makes the keys. It returns false where the shared number is shorter than the
// prime: some versions of gcr hash its leading zeros, others do not.
func (x *Exchange) derive(private []byte, peer *big.Int) bool {
	exponent := new(big.Int).SetBytes(private)
	shared := new(big.Int).Exp(peer, exponent, prime)
	number := make([]byte, primeSize)
	shared.FillBytes(number)
	defer func() {
		clear(number)
		clear(shared.Bits())
		clear(exponent.Bits())
	}()
	if number[0] == 0 {
		return false
	}
	key, err := hkdf.Key(sha256.New, number, nil, "", keySize)
	if err != nil {
		return false // not with this hash and size
	}
	copy(x.key[:], key)
	clear(key)
	x.public = new(big.Int).Exp(big.NewInt(2), exponent, prime).Bytes()
	return true
}

// Message returns the answer to the first message.
func (x *Exchange) Message() string { return write(x.public) }

// Open returns the password in a message, which the caller overwrites. The error of a
// message without one is ErrNoSecret.
func (x *Exchange) Open(text string) ([]byte, error) {
	m, err := parse(text)
	if err != nil {
		return nil, err
	}
	if m.secret == nil {
		return nil, ErrNoSecret
	}
	if len(m.iv) != aes.BlockSize || len(m.secret) == 0 || len(m.secret)%aes.BlockSize != 0 {
		return nil, errors.New("the password has no whole blocks")
	}
	block, err := aes.NewCipher(x.key[:])
	if err != nil {
		return nil, fmt.Errorf("cannot decrypt the password: %w", err)
	}
	cipher.NewCBCDecrypter(block, m.iv).CryptBlocks(m.secret, m.secret)
	password, err := unpad(m.secret)
	if err == nil {
		err = check(password)
	}
	if err != nil {
		clear(m.secret)
		return nil, err
	}
	return password, nil
}

// unpad removes the padding of PKCS #7.
func unpad(text []byte) ([]byte, error) {
	n := int(text[len(text)-1])
	if n == 0 || n > aes.BlockSize || !bytes.HasSuffix(text, bytes.Repeat([]byte{byte(n)}, n)) {
		return nil, errors.New("the password has the key of another conversation")
	}
	return text[:len(text)-n], nil
}

// check refuses what no line is: passwords pass pipes as lines.
func check(password []byte) error {
	if len(password) > secret.MaxPassword {
		return secret.ErrTooLong
	}
	if bytes.ContainsAny(password, "\x00\n") {
		return errLine
	}
	return nil
}

// Close overwrites the key, as far as Go allows: copies inside of ciphers remain.
func (x *Exchange) Close() { clear(x.key[:]) }
