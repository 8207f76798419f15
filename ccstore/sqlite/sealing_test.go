package sqlite

import (
	"bytes"
	"database/sql"
	"errors"
	"testing"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/seal"
)

// testKey returns the key of an owner in a store, nil for an unencrypted store.
func testKey(t *testing.T, id int64, secret byte) *ownerKey {
	t.Helper()
	if id == 0 {
		return nil
	}
	store, err := seal.NewStoreKey(bytes.Repeat([]byte{secret}, KeySize), nil)
	if err != nil {
		t.Fatal(err)
	}
	key, err := (&storeKey{id, store}).owner([]byte("alice"))
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// TestOpen opens a row with the key that sealed it, and with others.
func TestOpen(t *testing.T) {
	plain, first, second := testKey(t, 0, 0), testKey(t, 1, 'A'), testKey(t, 2, 'B')
	id, data := uuid.UUID{7}, []byte("a credential")
	for _, tt := range []struct {
		name     string
		from, to *ownerKey
		sealed   func(*sql.NullInt64) // changes the column after sealing
		moved    int64                // generations
		want     error
	}{
		{"plain", plain, plain, nil, 0, nil},
		{"plain, moved", plain, plain, nil, 1, nil}, // its checksum detects that
		{"sealed", first, first, nil, 0, nil},
		{"sealed, moved", first, first, nil, 1, seal.ErrAltered},
		{"plain in an encrypted store", plain, first, nil, 0, errNotSealed},
		{"sealed in an unencrypted store", first, plain, nil, 0, errSealed},
		{"sealed with another key", first, second, nil, 0, errOtherKey},
		{"sealed with another key under the id of this one", first, second, func(n *sql.NullInt64) { n.Int64 = 2 }, 0, seal.ErrAltered},
		{"sealed, marked as plain", first, first, func(n *sql.NullInt64) { n.Valid = false }, 0, errNotSealed},
		{"plain, marked as sealed", plain, first, func(n *sql.NullInt64) { *n = sql.NullInt64{Int64: 1, Valid: true} }, 0, seal.ErrAltered},
	} {
		stored, sealed := tt.from.seal(3, id, data)
		if encrypted := !bytes.Contains(stored, data); encrypted != (tt.from != nil) || sealed.Valid != encrypted {
			t.Errorf("%s: encrypted: %v, column %v", tt.name, encrypted, sealed)
		}
		if tt.sealed != nil {
			tt.sealed(&sealed)
		}
		got, err := tt.to.open(3+tt.moved, id, stored, sealed)
		if !errors.Is(err, tt.want) || (err == nil) != bytes.Equal(got, data) {
			t.Errorf("%s: %q, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}
