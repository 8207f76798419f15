package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/clock/clocktest"
	"kcmd.org/kcmd/lifecycle"
)

// A scene is a store with a reaper, and a clock that is moved.
type scene struct {
	t     *testing.T
	clock *clocktest.Manual
	store *ccstore.Store
	start time.Time
}

const after = time.Hour

// play runs f in a scene in which no other time passes than f has pass.
func play(t *testing.T, b ccstore.Backend, f func(s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clocktest.New(time.Unix(2_000_000_000, 0))
		store := ccstore.Open(b, ccstore.Options{Clock: c, ReapAfter: after})
		r := lifecycle.NewReaper(store, c, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- r.Run(ctx) }()
		synctest.Wait()
		f(&scene{t, c, store, c.Now()})
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func owner(uid uint32) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid}
}

// empty makes a cache without tickets.
func (s *scene) empty(uid uint32, name string) {
	s.t.Helper()
	err := s.store.Update(s.t.Context(), owner(uid), func(tx *ccstore.Tx) error {
		tx.Initialize(name, storetest.Principal("alice@EXAMPLE.COM"))
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// cache makes a cache of which the TGT ends so long after the start by the KDC's
// clock, which differs by an offset if one is given.
func (s *scene) cache(uid uint32, name string, end time.Duration, offset ...time.Duration) {
	s.t.Helper()
	tgt := storetest.TGT("alice@EXAMPLE.COM")
	tgt.EndTime = uint32(s.start.Add(end).Unix())
	tgt.RenewTill, tgt.Flags = 0, tgt.Flags&^ccache.FlagRenewable
	err := s.store.Update(s.t.Context(), owner(uid), func(tx *ccstore.Tx) error {
		tx.Initialize(name, tgt.Client)
		for _, d := range offset {
			if err := tx.SetKDCOffset(name, int32(d.Seconds())); err != nil {
				return err
			}
		}
		return tx.Store(name, tgt)
	})
	if err != nil {
		s.t.Fatal(err)
	}
}

// until lets time pass until it is so long after the start.
func (s *scene) until(d time.Duration) {
	s.clock.Advance(s.start.Add(d).Sub(s.clock.Now()))
	synctest.Wait()
}

// left fails the test if other caches are left than those.
func (s *scene) left(names ...string) {
	s.t.Helper()
	synctest.Wait()
	owners, err := s.store.Owners(s.t.Context())
	if err != nil {
		s.t.Fatal(err)
	}
	var found []string
	for _, o := range owners {
		s.store.View(s.t.Context(), o, func(c *ccstore.Collection) error {
			for _, cache := range c.Caches() {
				found = append(found, cache.Name)
			}
			return nil
		})
	}
	slices.Sort(found)
	if strings.Join(found, " ") != strings.Join(names, " ") {
		s.t.Errorf("%v after the start there are %q, want %q", s.clock.Now().Sub(s.start), found, names)
	}
}

// TestReap lets caches of two users end one after the other.
func TestReap(t *testing.T) {
	play(t, memory.New(), func(s *scene) {
		s.cache(1, "a", 8*time.Hour)
		s.cache(1, "b", 2*time.Hour)
		s.cache(2, "c", 4*time.Hour)
		s.until(3*time.Hour - time.Second)
		s.left("a", "b", "c")
		s.until(3 * time.Hour)
		s.left("a", "c")
		s.cache(3, "d", 90*time.Minute) // expired before all that the reaper knew of
		s.cache(3, "e", 210*time.Minute)
		s.left("a", "c", "d", "e")
		s.until(4*time.Hour - time.Second)
		s.left("a", "c", "d", "e")
		s.until(4 * time.Hour)
		s.left("a", "c", "e")
		s.until(4*time.Hour + 30*time.Minute)
		s.left("a", "c")
		s.until(5 * time.Hour)
		s.left("a")
		s.until(100 * time.Hour)
		s.left()
	})
}

// TestReapOnTime has the reaper sleep: it looks only when there is something to see.
func TestReapOnTime(t *testing.T) {
	play(t, memory.New(), func(s *scene) {
		s.cache(1, "a", 2*time.Hour)
		synctest.Wait()
		before := s.clock.Sets()
		for uid := range uint32(100) {
			s.cache(uid, "later", 10*time.Hour)
		}
		s.until(3*time.Hour - time.Second)
		if n := s.clock.Sets() - before; n != 0 {
			t.Errorf("looked %d times though nothing was due", n)
		}
	})
}

// TestReapAfterJump has somebody set the clock: for an hour of the boot clock
// nothing goes, whatever the wall clock shows.
func TestReapAfterJump(t *testing.T) {
	const year = 365 * 24 * time.Hour
	play(t, memory.New(), func(s *scene) {
		s.cache(1, "a", 2*time.Hour)
		s.cache(1, "b", 4*time.Hour)
		s.empty(1, "c")
		all := []string{"a", "b", "c"}
		for _, jump := range []time.Duration{3 * year, -6 * year, 3*year - 2*time.Hour, 2 * time.Hour} {
			s.clock.Set(s.clock.Now().Add(jump))
			s.left(all...)
			s.clock.Advance(after - time.Second)
			s.left(all...)
		}
		// The clock is right again, and an hour after the last jump it is trusted.
		s.until(4*after - 3*time.Second)
		s.left("b")
		s.until(5*time.Hour - time.Second)
		s.left("b")
		s.until(5 * time.Hour)
		s.left()
	})
}

// TestReapAfterLastingJump has a clock that was set for good.
func TestReapAfterLastingJump(t *testing.T) {
	play(t, memory.New(), func(s *scene) {
		s.cache(1, "a", 2*time.Hour)
		s.cache(1, "b", 40*time.Hour)
		s.clock.Set(s.clock.Now().Add(20 * time.Hour))
		s.left("a", "b")
		s.clock.Advance(after - time.Second)
		s.left("a", "b")
		s.clock.Advance(time.Second)
		s.left("b")
	})
}

// TestReapEmpty reaps caches without tickets after their last change.
func TestReapEmpty(t *testing.T) {
	play(t, memory.New(), func(s *scene) {
		s.empty(1, "a")
		s.empty(1, "b")
		s.until(30 * time.Minute)
		err := s.store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error {
			return tx.Store("b", storetest.Config("alice@EXAMPLE.COM", "k", "v"))
		})
		if err != nil {
			t.Fatal(err)
		}
		s.until(time.Hour - time.Second)
		s.left("a", "b")
		s.until(time.Hour)
		s.left("b")
		s.until(90 * time.Minute)
		s.left()
	})
}

// TestReapKDCTime reaps by the KDC's clock, and not sooner than an hour after the
// last change.
func TestReapKDCTime(t *testing.T) {
	play(t, memory.New(), func(s *scene) {
		s.cache(1, "fast", 72*time.Hour+10*time.Hour, 72*time.Hour)
		s.cache(1, "slow", -72*time.Hour+10*time.Hour, -72*time.Hour)
		s.cache(1, "unknown", -72*time.Hour+10*time.Hour, 0) // as an old cache that is copied
		s.left("fast", "slow", "unknown")
		s.until(time.Hour - time.Second)
		s.left("fast", "slow", "unknown")
		s.until(time.Hour)
		s.left("fast", "slow")
		s.until(11*time.Hour - time.Second)
		s.left("fast", "slow")
		s.until(11 * time.Hour)
		s.left()
	})
}

// TestReapAtStart has a store with more caches than are listed at once, of which
// half expired long ago, and whose deadlines are not those that they should be.
func TestReapAtStart(t *testing.T) {
	b := memory.New()
	store := ccstore.Open(b, ccstore.Options{Clock: clocktest.New(time.Unix(1000, 0))})
	for uid := range uint32(1500) {
		tgt := storetest.TGT("alice@EXAMPLE.COM")
		if uid%2 == 0 {
			tgt.EndTime, tgt.RenewTill = 1000, 0
		}
		err := store.Update(t.Context(), owner(uid), func(tx *ccstore.Tx) error {
			tx.Initialize("x", tgt.Client)
			return tx.Store("x", tgt)
		})
		if err != nil {
			t.Fatal(err)
		}
		r, err := b.Load(t.Context(), owner(uid))
		if err != nil {
			t.Fatal(err)
		}
		r.Caches[0].Deadlines[ccstore.Reaping] = 0
		err = b.Commit(t.Context(), &ccstore.Commit{
			Owner: owner(uid), Revision: r.Revision, Ops: []ccstore.Op{ccstore.PutCache{CacheRecord: r.Caches[0]}},
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	play(t, b, func(s *scene) { s.left(strings.Fields(strings.Repeat("x ", 750))...) })
}

// failing is a backend that cannot write what belongs to some owner.
type failing struct {
	ccstore.Backend
	owner ccstore.Owner
	err   error
}

func (b *failing) Commit(ctx context.Context, c *ccstore.Commit) error {
	if b.err != nil && c.Owner == b.owner {
		return b.err
	}
	return b.Backend.Commit(ctx, c)
}

// TestReapFails cannot remove one cache: the others go, and that one goes when it can.
func TestReapFails(t *testing.T) {
	b := &failing{Backend: memory.New(), owner: owner(1)}
	play(t, b, func(s *scene) {
		s.cache(1, "a", 2*time.Hour)
		s.cache(2, "b", 2*time.Hour)
		b.err = errors.New("disk full")
		s.until(4 * time.Hour)
		s.left("a")
		b.err = nil
		s.until(4*time.Hour + time.Minute)
		s.left()
	})
}

// TestReapStored does it with the clock of the machine and a store on disk.
func TestReapStored(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	b, err := sqlite.Open(t.Context(), filepath.Join(dir, "kcmd.db"), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	store := ccstore.Open(b, ccstore.Options{ReapAfter: time.Second})
	storetest.CheckedAtEnd(t, store)
	gone := make(chan ccstore.Change, 10)
	store.Watch(func(e ccstore.Event) {
		for _, c := range e.Changes {
			if c.Kind == ccstore.CacheDestroyed {
				gone <- c
			}
		}
	})
	r := lifecycle.NewReaper(store, clock.System{}, slog.New(slog.DiscardHandler))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- r.Run(ctx) }()
	tgt := storetest.TGT("alice@EXAMPLE.COM")
	tgt.RenewTill = 0
	for i, end := range []time.Time{time.Now().Add(-time.Second), time.Now(), time.Now().Add(time.Hour)} {
		tgt.EndTime = uint32(end.Unix())
		err := store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error {
			tx.Initialize(fmt.Sprint(i), tgt.Client)
			return tx.Store(fmt.Sprint(i), tgt)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for range 2 {
		select {
		case c := <-gone:
			if c.Reason != ccstore.Reaped {
				t.Errorf("the reason is %q", c.Reason)
			}
		case <-time.After(time.Minute):
			t.Fatal("nothing is removed")
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	err = store.View(t.Context(), owner(1), func(c *ccstore.Collection) error {
		if _, err := c.Cache("2"); err != nil || c.Len() != 1 {
			t.Errorf("%d caches are left, and the valid one: %v", c.Len(), err)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}
