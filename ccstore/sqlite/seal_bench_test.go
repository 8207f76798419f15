package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// BenchmarkSealed stores a ticket of 1000 bytes and loads collections, with and
// without a key.
func BenchmarkSealed(b *testing.B) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": keyOf('A')} {
		for _, sync := range []sqlite.Synchronous{sqlite.Full, sqlite.Normal} {
			b.Run(fmt.Sprintf("store/sync=%s/%s", sync, name), func(b *testing.B) {
				s := benchOpen(b, key, sync, 10)
				ticket := secretTicket(0, "host/other@EXAMPLE.COM", 1000)
				for b.Loop() {
					err := s.Update(b.Context(), user(1000), func(tx *ccstore.Tx) error { return tx.Store("x", ticket) })
					if err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		for _, tickets := range []int{10, 300} {
			b.Run(fmt.Sprintf("load/tickets=%d/%s", tickets, name), func(b *testing.B) {
				s := benchOpen(b, key, sqlite.Normal, tickets)
				for b.Loop() {
					r, err := s.backend.Load(b.Context(), user(1000))
					if err != nil || len(r.Credentials) != tickets {
						b.Fatalf("%d credentials, %v", len(r.Credentials), err)
					}
				}
			})
		}
	}
}

type benched struct {
	*ccstore.Store
	backend *sqlite.Backend
}

// benchOpen creates a store with tickets of one user.
func benchOpen(b *testing.B, key []byte, sync sqlite.Synchronous, tickets int) benched {
	backend, err := sqlite.Open(b.Context(), filepath.Join(b.TempDir(), "kcmd.db"), sqlite.Options{Synchronous: sync, Key: key})
	if err != nil {
		b.Fatal(err)
	}
	s := ccstore.Open(backend, ccstore.Options{})
	b.Cleanup(func() { s.Close() })
	err = s.Update(b.Context(), user(1000), func(tx *ccstore.Tx) error {
		tx.Initialize("x", storetest.Principal("alice@EXAMPLE.COM"))
		for i := range tickets {
			if err := tx.Store("x", secretTicket(uint32(i), fmt.Sprintf("host/%d@EXAMPLE.COM", i), 1000)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return benched{s, backend}
}
