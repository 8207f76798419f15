package sqlite_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// gone waits until the files have none of those secrets, and logs how long. The manual
// page gives seconds, which a busy machine can exceed.
func gone(t *testing.T, path string, is func(number uint32) bool) {
	t.Helper()
	begin := time.Now()
	for {
		var left []uint32
		for number := range secretsIn(t, path) {
			if is(number) {
				left = append(left, number)
			}
		}
		if left == nil {
			t.Logf("gone after %v", time.Since(begin).Round(time.Millisecond))
			return
		}
		if time.Since(begin) > time.Minute {
			t.Fatalf("still in the files: %v", left)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func every(uint32) bool { return true }

// TestDestroyed destroys tickets: soon after, no file has them, the WAL neither.
func TestDestroyed(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	fillSecret(t, s, 1)
	if len(secretsIn(t, path)) != 6 {
		t.Fatal("the tickets are not found in the files")
	}
	err := s.Update(t.Context(), user(1000), func(tx *ccstore.Tx) error {
		if err := tx.Destroy("a"); err != nil {
			return err
		}
		return tx.Destroy("b")
	})
	if err != nil {
		t.Fatal(err)
	}
	gone(t, path, every)
}

// TestDestroyedThenKilled starts after a kill between the destruction of a cache and
// the next checkpoint.
func TestDestroyedThenKilled(t *testing.T) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	fillSecret(t, s, 1)
	err := s.Update(t.Context(), user(1000), func(tx *ccstore.Tx) error { return tx.Destroy("a") })
	if err != nil {
		t.Fatal(err)
	}
	left := filepath.Join(privateDir(t), "kcmd.db")
	copyFiles(t, path, left)
	if !secretsIn(t, left)[1] {
		t.Fatal("the WAL was emptied already")
	}
	storetest.New(t, open(t, left))
	gone(t, left, func(number uint32) bool { return number <= 3 })
}

// copyFiles copies a database with its WAL, as a kill leaves it. A checkpoint between
// the copies has them made again.
func copyFiles(t *testing.T, from, to string) {
	t.Helper()
	for changed := true; changed; {
		before := modified(t, from)
		for _, suffix := range []string{"", "-wal"} {
			b, err := os.ReadFile(from + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(to+suffix, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		changed = modified(t, from) != before
	}
}

func modified(t *testing.T, path string) time.Time {
	t.Helper()
	st, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return st.ModTime()
}

// TestNothingIsLeft stores, replaces and destroys at random: the pages that were
// split, merged and freed have nothing of the deleted tickets and names of caches.
func TestNothingIsLeft(t *testing.T) {
	for name, seed := range map[string]uint64{
		"random":        rand.Uint64(),
		"gap of a leaf": 1758220274481859171, // secure_delete leaves ticket 303 in one
	} {
		t.Run(name, func(t *testing.T) { nothingIsLeft(t, seed) })
	}
}

func nothingIsLeft(t *testing.T, seed uint64) {
	path := filepath.Join(privateDir(t), "kcmd.db")
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{Synchronous: sqlite.Normal})
	if err != nil {
		t.Fatal(err)
	}
	s := storetest.New(t, b)
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	names := make(map[string]uint32)            // the secrets that name caches
	alive := make(map[string]map[string]uint32) // by cache and server
	for number := range uint32(700) {
		uid, place := 1000+uint32(r.IntN(10)), r.IntN(3)
		server := fmt.Sprintf("host/%d@EXAMPLE.COM", r.IntN(40))
		size := 40 + r.IntN(4000)
		cache := fmt.Sprint(uid, place)
		if names[cache] == 0 {
			names[cache] = number + 1<<20
		}
		name := string(secret(names[cache], 60))
		destroy, initialize := r.IntN(60) == 0, r.IntN(40) == 0
		err := s.Update(t.Context(), user(uid), func(tx *ccstore.Tx) error {
			if _, err := tx.Cache(name); err != nil || initialize {
				tx.Initialize(name, storetest.Principal("alice@EXAMPLE.COM"))
				alive[cache] = make(map[string]uint32)
			}
			if destroy {
				delete(alive, cache)
				delete(names, cache)
				return tx.Destroy(name)
			}
			alive[cache][server] = number
			return tx.Store(name, secretTicket(number, server, size))
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	living := make(map[uint32]bool)
	for _, number := range names {
		living[number] = true
	}
	for _, numbers := range alive {
		for _, number := range numbers {
			living[number] = true
		}
	}
	gone(t, path, func(number uint32) bool { return !living[number] })
	found := secretsIn(t, path)
	for number := range living {
		if !found[number] {
			t.Fatalf("%d is not found in the files", number)
		}
	}
}
