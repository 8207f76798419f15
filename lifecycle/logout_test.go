package lifecycle_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/lifecycle"
)

// A fakeLogind says who is logged in. A nil set is its end.
type fakeLogind struct{ users chan map[uint32]bool }

func (l *fakeLogind) watch(ctx context.Context, changed func(map[uint32]bool)) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case users := <-l.users:
			if users == nil {
				return errors.New("logind went away")
			}
			changed(users)
		}
	}
}

// says has logind know these users, and waits for what follows from that.
func (l *fakeLogind) says(uids ...uint32) {
	users := make(map[uint32]bool)
	for _, uid := range uids {
		users[uid] = true
	}
	l.users <- users
	synctest.Wait()
}

// logoutStore returns a store in which each uid has the caches "x" and "kept".
func logoutStore(t *testing.T, b ccstore.Backend, uids ...uint32) *ccstore.Store {
	store := ccstore.Open(b, ccstore.Options{})
	for _, uid := range uids {
		if err := store.Update(t.Context(), owner(uid), func(tx *ccstore.Tx) error {
			tx.Initialize("x", storetest.Principal(alice))
			tx.Initialize("kept", storetest.Principal(alice))
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	return store
}

// caches returns the uids whose cache "x" is there.
func caches(t *testing.T, store *ccstore.Store, uids ...uint32) (have []uint32) {
	for _, uid := range uids {
		c, err := store.Snapshot(t.Context(), owner(uid))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Cache("x"); err == nil {
			have = append(have, uid)
		}
		if _, err := c.Cache("kept"); err != nil {
			t.Errorf("the cache of %d that is spared: %v", uid, err)
		}
	}
	return have
}

// runLogout runs a Logout until the end that it returns.
func runLogout(t *testing.T, store *ccstore.Store, l *fakeLogind, file string, log *slog.Logger) (end func()) {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	logout := lifecycle.NewLogout(store, lifecycle.LogoutOptions{
		Watch: l.watch, File: file, Logger: log, Spared: func(_ ccstore.Owner, name string) bool { return name == "kept" },
	})
	go func() { done <- logout.Run(ctx) }()
	synctest.Wait()
	return func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	}
}

// full is a backend whose disk may be full.
type full struct {
	ccstore.Backend
	is atomic.Bool
}

func (b *full) Commit(ctx context.Context, c *ccstore.Commit) error {
	if b.is.Load() {
		return errors.New("disk full")
	}
	return b.Backend.Commit(ctx, c)
}

// TestLogout has users log in and out: those who had a session lose their caches, after a
// failure of the store later. Others, and root, keep them.
func TestLogout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		b := &full{Backend: memory.New()}
		all := []uint32{0, 1, 2, 3, 4}
		store := logoutStore(t, b, all...)
		l := &fakeLogind{users: make(chan map[uint32]bool)}
		end := runLogout(t, store, l, "", log)
		expect := func(what string, want ...uint32) {
			t.Helper()
			if got := caches(t, store, all...); !slices.Equal(got, want) {
				t.Errorf("%s: %v have caches, want %v", what, got, want)
			}
		}
		l.says(0, 1, 2, 3)
		expect("logged in", all...)
		l.says(2, 3)
		expect("1 and root have logged out", 0, 2, 3, 4)
		b.is.Store(true)
		l.says(2)
		expect("3 has logged out while nothing can be stored", 0, 2, 3, 4)
		b.is.Store(false)
		time.Sleep(time.Minute)
		synctest.Wait()
		expect("a minute later", 0, 2, 4)

		l.users <- nil
		time.Sleep(2 * time.Second)
		l.users <- nil
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := strings.Count(lines.String(), "without logind"); n != 1 {
			t.Errorf("%d lines say that there is no logind:\n%s", n, lines.String())
		}
		expect("without logind", 0, 2, 4)
		l.says()
		expect("logind is back, and 2 has logged out meanwhile", 0, 4)
		end()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestLogoutRestart runs kcmd anew: users who logged out meanwhile lose their caches,
// those who never had a session keep them.
func TestLogoutRestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "logins")
	synctest.Test(t, func(t *testing.T) {
		all := []uint32{1, 2, 3}
		store := logoutStore(t, memory.New(), all...)
		l := &fakeLogind{users: make(chan map[uint32]bool)}
		var lines bytes.Buffer
		log := slog.New(slog.NewTextHandler(&lines, nil))
		end := runLogout(t, store, l, file, log)
		l.says(1, 2)
		end()
		end = runLogout(t, store, l, file, log)
		if got := caches(t, store, all...); len(got) != 3 {
			t.Errorf("before logind says anything %v have caches", got)
		}
		l.says(2)
		if got := caches(t, store, all...); !slices.Equal(got, []uint32{2, 3}) {
			t.Errorf("%v have caches, want 2 and 3", got)
		}
		end()
		if b, err := os.ReadFile(file); err != nil || string(b) != "2\n" {
			t.Errorf("the file has %q, %v", b, err)
		}
		if err := os.WriteFile(file, []byte("2\nx\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		end = runLogout(t, store, l, file, log)
		l.says()
		if got := caches(t, store, all...); !slices.Equal(got, []uint32{2, 3}) {
			t.Errorf("with a damaged file %v have caches", got)
		}
		if !strings.Contains(lines.String(), "no uid") {
			t.Errorf("nothing is said of a damaged file: %s", lines.String())
		}
		end()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	})
}
