package sqlite_test

import (
	"path/filepath"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestStored follows the size of the database through a checkpoint, a restart and
// the removal of a cache.
func TestStored(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b := open(t, path)
	s := storetest.New(t, b)
	empty := b.Stored()
	fillMany(t, s, 1000, "a", 1800)
	const least = 1800 * 200
	eventually(t, "the tickets to count", func() bool { return b.Stored() > empty+least })
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	b = open(t, path)
	s = storetest.New(t, b)
	if b.Stored() < empty+least {
		t.Errorf("%d bytes after a restart, empty are %d", b.Stored(), empty)
	}
	update(t, s, user(1000), func(tx *ccstore.Tx) error { return tx.Destroy("a") })
	eventually(t, "the tickets to count no more", func() bool { return b.Stored() < empty+least/10 })
}
