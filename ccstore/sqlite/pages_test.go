package sqlite_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
)

// TestPages counts the pages that a commit writes to the WAL of a small database.
func TestPages(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	now := clocktest.New(time.Now())
	s := storetest.CheckedAtEnd(t, ccstore.Open(open(t, path), ccstore.Options{Clock: now}))
	const alice = "alice@EXAMPLE.COM"
	kinit := func(name string) func(tx *ccstore.Tx) error {
		creds := []*ccache.Credential{storetest.Config(alice, "fast_avail", "yes"), storetest.TGT(alice)}
		return func(tx *ccstore.Tx) error {
			tx.Replace(name, storetest.Principal(alice), 0, creds)
			return nil
		}
	}
	kvno := func(host string) func(tx *ccstore.Tx) error {
		return func(tx *ccstore.Tx) error { return tx.Store("x", storetest.Ticket(alice, "host/"+host+"@EXAMPLE.COM")) }
	}
	// frames returns the number of frames with the salt of the header.
	frames := func() int {
		b, err := os.ReadFile(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for at := 32; at+24 <= len(b) && string(b[at+8:at+16]) == string(b[16:24]); at += 24 + pageSize {
			n++
		}
		return n
	}
	for _, tt := range []struct {
		what  string
		do    func(tx *ccstore.Tx) error
		pages int
	}{
		{"kinit, the first of a user", kinit("x"), 5},
		{"kvno", kvno("a"), 3},
		{"kvno within the same second", kvno("c"), 2},
		{"kinit with a cache more", kinit("y"), 4},
		{"a default", func(tx *ccstore.Tx) error { tx.SetDefault("y"); return nil }, 1},
		{"kvno, after a second", kvno("b"), 3},
		{"kvno for a ticket that is there", kvno("a"), 3},
	} {
		// The row of a cache has its time in seconds.
		if !strings.Contains(tt.what, "same second") {
			now.Advance(time.Second)
		}
		before := frames()
		update(t, s, user(1000), tt.do)
		if n := frames() - before; n != tt.pages {
			t.Errorf("%s: %d pages, want %d", tt.what, n, tt.pages)
		}
	}
}
