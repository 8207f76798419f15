package sqlite

import (
	"bytes"
	"database/sql"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

var (
	testOwner = ccstore.Owner{Namespace: "guests", UID: 1000, Level: "s0:c1"}
	testCache = uuid.MustParse("11111111-2222-3333-4444-555555555555")
	testCred  = uuid.MustParse("66666666-7777-8888-9999-aaaaaaaaaaaa")
)

func testKey(t *testing.T) *storeKey {
	t.Helper()
	key := make([]byte, KeySize)
	for i := range key {
		key[i] = byte(i)
	}
	k, err := extract(key, bytes.Repeat([]byte{0x11}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	k.id = 7
	return k
}

func ownerOf(t *testing.T, k *storeKey, o ccstore.Owner) *ownerKey {
	t.Helper()
	key, err := k.owner(o)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// What is stored is read by every later version. These values were computed
// with another implementation of HKDF and AES.
func TestSealedForm(t *testing.T) {
	k := testKey(t)
	proof, err := k.proof()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := hex.EncodeToString(proof), "622170fd07342b8348b3a052510e78b1ed31df60f22097c73bbd0dfa4bced9ee"; got != want {
		t.Errorf("proof %s, want %s", got, want)
	}
	stored, err := hex.DecodeString("3132333435363738393031321f9e54d3c24be74c53b261ca2f45b2c8a23d377cd970d7342c1dcc54")
	if err != nil {
		t.Fatal(err)
	}
	data, err := ownerOf(t, k, testOwner).open(testCache, testCred, stored, sql.NullInt64{Int64: 7, Valid: true})
	if err != nil || string(data) != "a credential" {
		t.Errorf("got %q, %v", data, err)
	}
}

// A credential opens in its place, with its key, and as it was sealed.
func TestSealIsBound(t *testing.T) {
	k := testKey(t)
	own := ownerOf(t, k, testOwner)
	stored, sealed := own.seal(testCache, testCred, []byte("a credential"))
	if bytes.Contains(stored, []byte("cred")) {
		t.Fatal("it is not sealed")
	}
	if again, _ := own.seal(testCache, testCred, []byte("a credential")); bytes.Equal(stored, again) {
		t.Error("the same is stored when it is sealed again")
	}
	change := func(f func(*ccstore.Owner)) *ownerKey {
		o := testOwner
		f(&o)
		return ownerOf(t, k, o)
	}
	bent := bytes.Clone(stored)
	bent[len(bent)/2] ^= 1
	for _, tt := range []struct {
		name        string
		key         *ownerKey
		cache, cred uuid.UUID
		stored      []byte
		sealed      sql.NullInt64
		want        error
	}{
		{"as it is", own, testCache, testCred, stored, sealed, nil},
		{"another cache", own, testCred, testCred, stored, sealed, errAltered},
		{"another credential", own, testCache, testCache, stored, sealed, errAltered},
		{"both changed about", own, testCred, testCache, stored, sealed, errAltered},
		{"another uid", change(func(o *ccstore.Owner) { o.UID++ }), testCache, testCred, stored, sealed, errAltered},
		{"another namespace", change(func(o *ccstore.Owner) { o.Namespace = "default" }), testCache, testCred, stored, sealed, errAltered},
		{"another level", change(func(o *ccstore.Owner) { o.Level = "s0:c2" }), testCache, testCred, stored, sealed, errAltered},
		{"the same text, divided elsewhere", change(func(o *ccstore.Owner) { o.Namespace, o.Level = "guest", "ss0:c1" }), testCache, testCred, stored, sealed, errAltered},
		{"altered", own, testCache, testCred, bent, sealed, errAltered},
		{"cut", own, testCache, testCred, stored[:len(stored)-1], sealed, errAltered},
		{"nearly nothing", own, testCache, testCred, stored[:5], sealed, errAltered},
		{"nothing", own, testCache, testCred, nil, sealed, errAltered},
		{"another key", own, testCache, testCred, stored, sql.NullInt64{Int64: 8, Valid: true}, errOtherKey},
		{"not sealed", own, testCache, testCred, []byte("a credential"), sql.NullInt64{}, errNotSealed},
		{"a store that is not sealed", nil, testCache, testCred, stored, sealed, errSealed},
	} {
		data, err := tt.key.open(tt.cache, tt.cred, tt.stored, tt.sealed)
		if !errors.Is(err, tt.want) || err == nil && string(data) != "a credential" || err != nil && data != nil {
			t.Errorf("%s: %q, %v; want %v", tt.name, data, err, tt.want)
		}
	}
}
