package lifecycle_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/clock/clocktest"
	"kcmd.org/kcmd/lifecycle"
)

// A stage is a store with an announcer, and a clock that is moved. Times are
// since the start; the warning comes 10 minutes before the end.
type stage struct {
	t     *testing.T
	clock *clocktest.Manual
	store *ccstore.Store
	start time.Time
	heard []string
}

// announcing runs f with an announcer whose clock only f moves.
func announcing(t *testing.T, b ccstore.Backend, f func(s *stage)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		c := clocktest.New(time.Unix(2_000_000_000, 0))
		s := &stage{t: t, clock: c, start: c.Now(), store: ccstore.Open(b, ccstore.Options{Clock: c})}
		s.store.Watch(s.hear)
		a := lifecycle.NewAnnouncer(s.store, lifecycle.AnnouncerOptions{
			Clock: c, Warning: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler),
		})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- a.Run(ctx) }()
		synctest.Wait()
		f(s)
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
		if err := s.store.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}

func (s *stage) hear(e ccstore.Event) {
	for _, n := range e.Notices {
		cache, err := e.After.CacheByUUID(n.Cache)
		if err != nil || cache.TGT() != n.Credential || e.Before != e.After || len(e.Changes) != 0 {
			s.t.Errorf("a notice that is not of its event: %v", err)
			continue
		}
		text := fmt.Sprint(e.Owner.UID, " ", cache.Name, " ", n.State)
		if n.Again {
			text += " again"
		}
		s.heard = append(s.heard, text)
	}
}

// hears fails the test if other notices came since the last call.
func (s *stage) hears(notices ...string) {
	s.t.Helper()
	synctest.Wait()
	slices.Sort(s.heard)
	if got, want := strings.Join(s.heard, ", "), strings.Join(notices, ", "); got != want {
		s.t.Errorf("at %v: heard %q, want %q", s.clock.Now().Sub(s.start), got, want)
	}
	s.heard = nil
}

// advance lets time pass until it is so long after the start.
func (s *stage) advance(d time.Duration) {
	s.clock.Advance(s.start.Add(d).Sub(s.clock.Now()))
}

// set sets the clock.
func (s *stage) set(d time.Duration) { s.clock.Set(s.start.Add(d)) }

// tgt fills a cache with a TGT from start to end by the KDC's clock.
func (s *stage) tgt(uid uint32, name string, start, end, offset time.Duration) {
	s.t.Helper()
	tgt := storetest.TGT("alice@EXAMPLE.COM")
	tgt.StartTime, tgt.EndTime = uint32(s.start.Add(start).Unix()), uint32(s.start.Add(end).Unix())
	s.put(uid, name, tgt, offset)
}

// postdated fills a cache with a TGT that is to be validated at start.
func (s *stage) postdated(uid uint32, name string, start, end time.Duration) {
	s.t.Helper()
	tgt := storetest.TGT("alice@EXAMPLE.COM")
	tgt.StartTime, tgt.EndTime = uint32(s.start.Add(start).Unix()), uint32(s.start.Add(end).Unix())
	tgt.Flags |= ccache.FlagInvalid
	s.put(uid, name, tgt, 0)
}

func (s *stage) put(uid uint32, name string, cred *ccache.Credential, offset time.Duration) {
	s.t.Helper()
	err := s.store.Update(s.t.Context(), owner(uid), func(tx *ccstore.Tx) error {
		tx.Replace(name, cred.Client, int32(offset.Seconds()), []*ccache.Credential{cred})
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
}

func (s *stage) hold(uid uint32) (release func()) {
	s.t.Helper()
	release, err := s.store.Hold(owner(uid))
	if err != nil {
		s.t.Fatal(err)
	}
	synctest.Wait()
	return release
}

// TestAnnounce has TGTs of two users, one of whom nobody watches, go through their
// states.
func TestAnnounce(t *testing.T) {
	announcing(t, memory.New(), func(s *stage) {
		defer s.hold(1)()
		s.tgt(1, "usual", 0, 2*time.Hour, 0)
		s.postdated(1, "later", time.Hour, 3*time.Hour)
		s.tgt(1, "skewed", 72*time.Hour, 74*time.Hour, 72*time.Hour)
		s.tgt(1, "over", -2*time.Hour, -time.Hour, 0)
		s.tgt(1, "nearly", -2*time.Hour, time.Minute, 0)
		s.tgt(2, "unwatched", 0, 2*time.Hour, 0)
		s.put(1, "endless", &ccache.Credential{Client: storetest.Principal("alice@EXAMPLE.COM"),
			Server: storetest.Principal("krbtgt/EXAMPLE.COM@EXAMPLE.COM")}, 0)
		s.hears()
		s.advance(time.Minute - time.Second)
		s.hears()
		s.advance(time.Minute)
		s.hears("1 nearly expired")
		s.advance(time.Hour)
		s.hears("1 later invalid")
		s.advance(110*time.Minute - time.Second)
		s.hears()
		s.advance(110 * time.Minute)
		s.hears("1 skewed expiring", "1 usual expiring")
		s.advance(4 * time.Hour) // suspended meanwhile
		s.hears("1 later expired", "1 skewed expired", "1 usual expired")
		s.advance(1e6 * time.Hour)
		s.hears()
	})
}

// TestAnnounceOnce sets the clock back: no step forward comes twice.
func TestAnnounceOnce(t *testing.T) {
	announcing(t, memory.New(), func(s *stage) {
		defer s.hold(1)()
		s.tgt(1, "x", 0, 2*time.Hour, 0)
		s.set(115 * time.Minute)
		s.hears("1 x expiring")
		s.set(0)
		s.hears("1 x valid again")
		s.set(-time.Hour)
		s.hears()
		s.set(115 * time.Minute)
		s.hears("1 x expiring again")
		s.set(2 * time.Hour)
		s.hears("1 x expired")
		s.set(time.Hour)
		s.hears("1 x valid again")
		s.tgt(1, "x", 0, 2*time.Hour, 0) // another ticket with the same times
		s.hears()
		s.advance(110 * time.Minute)
		s.hears("1 x expiring")
		s.tgt(1, "x", 0, 4*time.Hour, 0) // renewed
		s.advance(3 * time.Hour)
		s.hears()
	})
}

// TestAnnounceHeld has somebody watch a collection for a while.
func TestAnnounceHeld(t *testing.T) {
	announcing(t, memory.New(), func(s *stage) {
		s.tgt(1, "a", 0, time.Hour, 0)
		s.tgt(1, "b", 0, 2*time.Hour, 0)
		s.tgt(1, "c", 0, 3*time.Hour, 0)
		s.advance(90 * time.Minute)
		release, second := s.hold(1), s.hold(1)
		s.hears()
		s.advance(110 * time.Minute)
		s.hears("1 b expiring")
		release()
		s.advance(2 * time.Hour)
		s.hears("1 b expired")
		second()
		s.advance(3 * time.Hour)
		s.hears()
	})
}

// TestAnnounceOffset learns the KDC's time of a cache late.
func TestAnnounceOffset(t *testing.T) {
	announcing(t, memory.New(), func(s *stage) {
		defer s.hold(1)()
		s.tgt(1, "x", 0, 2*time.Hour, 0)
		err := s.store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error { return tx.SetKDCOffset("x", 3600) })
		if err != nil {
			t.Fatal(err)
		}
		s.hears()
		s.advance(50 * time.Minute)
		s.hears("1 x expiring")
	})
}

// TestAnnounceOnTime has the announcer sleep while service tickets come, and
// while others whom nobody watches store theirs.
func TestAnnounceOnTime(t *testing.T) {
	announcing(t, memory.New(), func(s *stage) {
		defer s.hold(1)()
		s.tgt(1, "x", 0, 10*time.Hour, 0)
		before := s.clock.Sets()
		for i := range uint32(100) {
			s.tgt(100+i, "x", 0, time.Hour, 0)
			err := s.store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error {
				return tx.Store("x", storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/%d@EXAMPLE.COM", i)))
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		s.advance(590*time.Minute - time.Second)
		synctest.Wait()
		if n := s.clock.Sets() - before; n != 0 {
			t.Errorf("woke %d times though nothing was due", n)
		}
	})
}

// unreadable is a backend that cannot be read while err is set.
type unreadable struct {
	ccstore.Backend
	err error
}

func (b *unreadable) Load(ctx context.Context, o ccstore.Owner) (*ccstore.Record, error) {
	if b.err != nil {
		return nil, b.err
	}
	return b.Backend.Load(ctx, o)
}

// TestAnnounceFails holds a collection that cannot be read for a while.
func TestAnnounceFails(t *testing.T) {
	b := &unreadable{Backend: memory.New()}
	announcing(t, b, func(s *stage) { s.tgt(1, "x", 0, 2*time.Hour, 0) })
	b.err = errors.New("disk on fire")
	announcing(t, b, func(s *stage) {
		defer s.hold(1)()
		s.advance(time.Hour)
		b.err = nil
		s.advance(time.Hour + time.Minute)
		s.advance(2 * time.Hour)
		s.hears("1 x expired")
	})
}

// TestAnnounceStored does it with the clock of the machine.
func TestAnnounceStored(t *testing.T) {
	store := storetest.CheckedAtEnd(t, ccstore.Open(memory.New(), ccstore.Options{}))
	heard := make(chan time.Time, 10)
	store.Watch(func(e ccstore.Event) {
		for range e.Notices {
			heard <- time.Now()
		}
	})
	a := lifecycle.NewAnnouncer(store, lifecycle.AnnouncerOptions{Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler)})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- a.Run(ctx) }()
	release, err := store.Hold(owner(1))
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	tgt := storetest.TGT("alice@EXAMPLE.COM")
	end := time.Now().Add(2 * time.Second)
	tgt.EndTime = uint32(end.Unix())
	err = store.Update(t.Context(), owner(1), func(tx *ccstore.Tx) error {
		tx.Replace("x", tgt.Client, 0, []*ccache.Credential{tgt})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	select {
	case at := <-heard:
		if at.Unix() < int64(tgt.EndTime) {
			t.Errorf("announced at %v, it ends at %v", at, end)
		}
	case <-time.After(time.Minute):
		t.Fatal("the end is not announced")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
