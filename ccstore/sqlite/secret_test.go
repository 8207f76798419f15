package sqlite_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// magic repeats in every secret of these tests, and occurs nowhere else.
var magic = func() []byte {
	b := make([]byte, 12)
	rand.Read(b)
	return b
}()

// secret returns n bytes of magic and a number, so that every piece identifies the
// secret. The number is before and after magic, since a page may end anywhere.
func secret(number uint32, n int) []byte {
	unit := binary.BigEndian.AppendUint32(nil, number)
	unit = binary.BigEndian.AppendUint32(append(unit, magic...), ^number)
	return bytes.Repeat(unit, n/len(unit)+1)[:n]
}

// secretTicket returns a credential whose session key and ticket of size bytes are
// the secret with that number.
func secretTicket(number uint32, server string, size int) *ccache.Credential {
	c := storetest.Ticket("alice@EXAMPLE.COM", server)
	c.Key.Value = secret(number, 40)
	c.Ticket = secret(number, size)
	return c
}

// secretsIn returns the numbers of the secrets in the files of the database at path.
func secretsIn(t *testing.T, path string) map[uint32]bool {
	t.Helper()
	files, err := filepath.Glob(path + "*")
	if err != nil || len(files) == 0 {
		t.Fatalf("files: %v, %v", files, err)
	}
	found := make(map[uint32]bool)
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for {
			before, after, ok := bytes.Cut(b, magic)
			if !ok {
				break
			}
			if len(before) >= 4 && len(after) >= 4 {
				number := binary.BigEndian.Uint32(before[len(before)-4:])
				if number == ^binary.BigEndian.Uint32(after) {
					found[number] = true
				}
			}
			b = after
		}
	}
	return found
}

// keyOf returns a key for a letter.
func keyOf(letter byte) []byte { return bytes.Repeat([]byte{letter}, sqlite.KeySize) }

// openWith opens the database with a key, nil for none.
func openWith(t *testing.T, path string, key []byte) *sqlite.Backend {
	t.Helper()
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// user returns an owner.
func user(uid uint32) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid}
}

// fillSecret gives users from 1000 on two caches each, with secret tickets of several
// sizes; the largest overflow their pages.
func fillSecret(t *testing.T, s *ccstore.Store, users int) {
	t.Helper()
	number := uint32(0)
	for uid := range uint32(users) {
		err := s.Update(t.Context(), user(1000+uid), func(tx *ccstore.Tx) error {
			for _, name := range []string{"a", "b"} {
				tx.Initialize(name, storetest.Principal("alice@EXAMPLE.COM"))
				for i, size := range []int{40, 1200, 9000} {
					number++
					if err := tx.Store(name, secretTicket(number, fmt.Sprintf("host/%d@EXAMPLE.COM", i), size)); err != nil {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// contents returns all credentials of a store.
func contents(t *testing.T, s *ccstore.Store) map[string]string {
	t.Helper()
	all := make(map[string]string)
	owners, err := s.Owners(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, o := range owners {
		err := s.View(t.Context(), o, func(c *ccstore.Collection) error {
			for _, cache := range c.Caches() {
				for cred := range cache.Credentials() {
					all[fmt.Sprintf("%v %s %s", o, cache.Name, cred.UUID)] = string(cred.Bytes())
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return all
}

// tamper changes a closed database.
func tamper(t *testing.T, path, query string, args ...any) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	res, err := db.ExecContext(context.Background(), query, args...)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := res.RowsAffected(); n == 0 || err != nil {
		t.Fatalf("%s: no row was changed, %v", query, err)
	}
}
