package ccstore_test

import (
	"fmt"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

var sizes = []int{10, 1000, 100_000}

// benchStore returns a store with a cache of so many tickets.
func benchStore(b *testing.B, tickets int) *ccstore.Store {
	b.Helper()
	s := ccstore.Open(memory.New(), ccstore.Options{})
	b.Cleanup(func() { s.Close() })
	err := s.Update(b.Context(), owner, func(tx *ccstore.Tx) error {
		tx.Replace("x", storetest.Principal("alice@EXAMPLE.COM"), 0, storetest.Tickets("alice@EXAMPLE.COM", tickets))
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	return s
}

// BenchmarkFind looks a ticket up, without a server around it.
func BenchmarkFind(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("tickets=%d", n), func(b *testing.B) {
			s := benchStore(b, n)
			server := storetest.Principal(fmt.Sprintf("host/%d@EXAMPLE.COM", n/2))
			m := &ccache.Match{Server: &server}
			b.ReportAllocs()
			for b.Loop() {
				c, err := s.Snapshot(b.Context(), owner)
				if err != nil {
					b.Fatal(err)
				}
				cache, err := c.Cache("x")
				if err != nil {
					b.Fatal(err)
				}
				if _, err := cache.Find(m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkUpdate stores a ticket that is there already.
func BenchmarkUpdate(b *testing.B) {
	for _, n := range sizes {
		b.Run(fmt.Sprintf("tickets=%d", n), func(b *testing.B) {
			s := benchStore(b, n)
			ticket := storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/%d@EXAMPLE.COM", n/2))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Update(b.Context(), owner, func(tx *ccstore.Tx) error { return tx.Store("x", ticket) }); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
