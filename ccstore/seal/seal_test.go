package seal_test

import (
	"bytes"
	"encoding/hex"
	"errors"
	"testing"

	"kcmd.org/kcmd/ccstore/seal"
)

// The place and the owner of the test vector.
const (
	place = "\x11\x11\x11\x11\x22\x22\x33\x33\x44\x44\x55\x55\x55\x55\x55\x55" +
		"\x66\x66\x66\x66\x77\x77\x88\x88\x99\x99\xaa\xaa\xaa\xaa\xaa\xaa"
	owner = "\x00\x00\x03\xe8" + "\x00\x00\x00\x06guests" + "\x00\x00\x00\x05s0:c1"
)

func storeKey(t *testing.T) *seal.StoreKey {
	t.Helper()
	key := make([]byte, seal.KeySize)
	for i := range key {
		key[i] = byte(i)
	}
	k, err := seal.NewStoreKey(key, bytes.Repeat([]byte{0x11}, seal.KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func ownerKey(t *testing.T, owner string) *seal.OwnerKey {
	t.Helper()
	k, err := storeKey(t).Owner([]byte(owner))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestForm opens data sealed with another implementation of HKDF and AES. Every later
// version must open it.
func TestForm(t *testing.T) {
	proof, err := storeKey(t).Proof()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(proof), "622170fd07342b8348b3a052510e78b1ed31df60f22097c73bbd0dfa4bced9ee"; got != want {
		t.Errorf("proof %s, want %s", got, want)
	}
	sealed, err := hex.DecodeString("3132333435363738393031321f9e54d3c24be74c53b261ca2f45b2c8a23d377cd970d7342c1dcc54")
	if err != nil {
		t.Fatal(err)
	}
	data, err := ownerKey(t, owner).Open([]byte(place), sealed)
	if err != nil || string(data) != "a credential" {
		t.Errorf("got %q, %v", data, err)
	}
}

// TestBound opens sealed data. That fails with another key, in another place, and if
// the data was altered.
func TestBound(t *testing.T) {
	own := ownerKey(t, owner)
	sealed := own.Seal([]byte(place), []byte("a credential"))
	if bytes.Contains(sealed, []byte("cred")) {
		t.Fatal("it is not encrypted")
	}
	if bytes.Equal(sealed, own.Seal([]byte(place), []byte("a credential"))) {
		t.Error("sealing the same again gives the same bytes")
	}
	bent := bytes.Clone(sealed)
	bent[len(bent)/2] ^= 1
	for _, tt := range []struct {
		name   string
		key    *seal.OwnerKey
		place  string
		sealed []byte
		want   error
	}{
		{"as it is", own, place, sealed, nil},
		{"another place", own, place[:31] + "x", sealed, seal.ErrAltered},
		{"no place", own, "", sealed, seal.ErrAltered},
		{"another owner", ownerKey(t, owner[:4]), place, sealed, seal.ErrAltered},
		{"altered", own, place, bent, seal.ErrAltered},
		{"cut", own, place, sealed[:len(sealed)-1], seal.ErrAltered},
		{"nearly nothing", own, place, sealed[:5], seal.ErrAltered},
		{"nothing", own, place, nil, seal.ErrAltered},
	} {
		data, err := tt.key.Open([]byte(tt.place), tt.sealed)
		if !errors.Is(err, tt.want) || err == nil && string(data) != "a credential" || err != nil && data != nil {
			t.Errorf("%s: %q, %v; want %v", tt.name, data, err, tt.want)
		}
	}
}

// TestKeySize refuses keys of other sizes.
func TestKeySize(t *testing.T) {
	for _, size := range []int{0, 31, 33} {
		if _, err := seal.NewStoreKey(make([]byte, size), nil); err == nil {
			t.Errorf("a key of %d bytes was accepted", size)
		}
	}
}
