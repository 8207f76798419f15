// Package exchangetest is the other side of a secret exchange, for tests: what a dialog
// does that has a password.
//
// It imports nothing of ours. Its file is exchangetest.go.
package exchangetest

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math/big"
	"strings"
)

var prime, two = new(big.Int), big.NewInt(2)

func init() {
	// 2^1536 - 2^1472 - 1 + 2^64 * (floor(2^1406 pi) + 741804), as RFC 3526 has it.
	prime.SetString("2410312426921032588552076022197566074856950548502459942654116941958108831682612228890093858261341614673227141477904012196503648957050582631942730706805009223062734745341073406696246014589361659774041027169249453200378729434170325843778659198143763193776859869524088940195577346119843545301547043747207749969763750084308926339295559968882457872412993810129130294592999947926365264059284647209730384947211681434464714438488520940127459844288859336526896320919633919", 10)
}

// A Peer has a password and shows dialogs.
type Peer struct {
	private *big.Int
	key     []byte
	public  []byte
}

// New makes a key.
func New() (*Peer, error) {
	private, err := rand.Int(rand.Reader, prime)
	if err != nil {
		return nil, err
	}
	return &Peer{private: private, public: new(big.Int).Exp(two, private, prime).Bytes()}, nil
}

// Begin returns the first message.
func (p *Peer) Begin() string {
	return fmt.Sprintf("[sx-aes-1]\npublic=%s\n", base64.StdEncoding.EncodeToString(p.public))
}

// Receive takes the answer to the first message.
func (p *Peer) Receive(answer string) error {
	text, found := strings.CutPrefix(answer, "[sx-aes-1]\npublic=")
	public, err := base64.StdEncoding.DecodeString(strings.TrimSuffix(text, "\n"))
	if !found || err != nil {
		return fmt.Errorf("%q is no answer: %w", answer, err)
	}
	shared := new(big.Int).Exp(new(big.Int).SetBytes(public), p.private, prime)
	p.key, err = hkdf.Key(sha256.New, shared.Bytes(), nil, "", 16)
	return err
}

// Seal returns the message with a password.
func (p *Peer) Seal(password string) (string, error) {
	block, err := aes.NewCipher(p.key)
	if err != nil {
		return "", err
	}
	n := aes.BlockSize - len(password)%aes.BlockSize
	text := append([]byte(password), bytes.Repeat([]byte{byte(n)}, n)...)
	iv := make([]byte, aes.BlockSize)
	if _, err := rand.Read(iv); err != nil {
		return "", err
	}
	cipher.NewCBCEncrypter(block, iv).CryptBlocks(text, text)
	encode := base64.StdEncoding.EncodeToString
	return p.Begin() + fmt.Sprintf("secret=%s\niv=%s\n", encode(text), encode(iv)), nil
}
