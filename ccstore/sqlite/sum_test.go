package sqlite_test

import (
	"path/filepath"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestSums changes rows of a closed store to other valid values. Rows that were
// changed or moved are quarantined, and only those.
func TestSums(t *testing.T) {
	for _, tt := range []struct {
		name, change string
		caches       int // that 1000 still has, of two
		tickets      int // in all of them, of two
	}{
		{"nothing", "UPDATE collections SET revision = revision", 2, 2},
		{"a ticket", "UPDATE credentials SET data = CAST(substr(data, 1, length(data) - 5) || x'00' || substr(data, -4) AS BLOB) WHERE generation = 1", 2, 1},
		{"the UUID of a ticket", "UPDATE credentials SET uuid = zeroblob(16) WHERE generation = 1", 2, 1},
		{"whose ticket it is", "DELETE FROM credentials WHERE generation < 3; UPDATE credentials SET id = id - (2 << 32); DELETE FROM caches WHERE collection = 2; DELETE FROM collections WHERE id = 2", 2, 0},
		{"in which cache it is", "UPDATE credentials SET id = 2 << 32 | 9 WHERE generation = 1", 2, 1},
		{"whose collection it is", "DELETE FROM collections WHERE id = 1; DELETE FROM caches WHERE collection = 1; UPDATE collections SET uid = 1000 WHERE id = 2", 0, 0},
		{"a principal", "UPDATE caches SET principal = CAST(replace(principal, 'alice', 'alicf') AS BLOB) WHERE collection = 1 AND id = 1", 1, 1},
		{"a name", "UPDATE caches SET name = CAST('1000:z' AS BLOB) WHERE collection = 1 AND id = 1", 1, 1},
		{"a label", "UPDATE caches SET label = 'other' WHERE collection = 1 AND id = 1", 1, 1},
		{"the KDC's clock", "UPDATE caches SET kdc_offset = 77 WHERE collection = 1 AND id = 1", 1, 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			path := filepath.Join(privateDir(t), "kcmd.db")
			s := ccstore.Open(open(t, path), ccstore.Options{})
			for uid := range uint32(2) {
				for _, name := range []string{"x", "y"} {
					update(t, s, user(1000+uid), func(tx *ccstore.Tx) error {
						tx.Initialize(name, storetest.Principal("alice@EXAMPLE.COM"))
						return tx.Store(name, storetest.TGT("alice@EXAMPLE.COM"))
					})
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			exec(t, path, tt.change)

			s, log := openLogged(t, path)
			err := s.View(t.Context(), user(1000), func(c *ccstore.Collection) error {
				tickets := 0
				for _, cache := range c.Caches() {
					tickets += cache.Tickets()
				}
				if c.Len() != tt.caches || tickets != tt.tickets {
					t.Errorf("%d caches and %d tickets are left, want %d and %d", c.Len(), tickets, tt.caches, tt.tickets)
				}
				if whole := tt.caches+tt.tickets == 4; whole != (c.Quarantined() == 0) || whole == strings.Contains(log.String(), "its checksum is wrong") {
					t.Errorf("%d quarantined, log:\n%s", c.Quarantined(), log)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}
