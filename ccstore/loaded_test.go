package ccstore_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/trim"
)

// loads counts how often a collection is loaded.
type loads struct {
	ccstore.Backend
	n atomic.Int64
}

func (b *loads) Load(ctx context.Context, o ccstore.Owner) (*ccstore.Record, error) {
	b.n.Add(1)
	return b.Backend.Load(ctx, o)
}

func numbered(uid int) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(uid)}
}

// TestUnused has ten users come by, of whom one stays: the others' collections
// leave memory, and are there again when they come back.
func TestUnused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &loads{Backend: memory.New()}
		s := ccstore.Open(b, ccstore.Options{Idle: time.Minute})
		look := func(uid int) (revision uint64) {
			err := s.View(t.Context(), numbered(uid), func(c *ccstore.Collection) error {
				revision = c.Revision()
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			return revision
		}
		for uid := range 10 {
			err := s.Update(t.Context(), numbered(uid), func(tx *ccstore.Tx) error {
				tx.Initialize("x", storetest.Principal("alice@EXAMPLE.COM"))
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		for range 5 {
			time.Sleep(30 * time.Second)
			look(3)
		}
		if n := s.Loaded(); n != 1 {
			t.Errorf("%d collections in memory, want 1", n)
		}
		if n := b.n.Load(); n != 10 {
			t.Errorf("loaded %d times, want 10", n)
		}
		if look(7) != 1 || b.n.Load() != 11 {
			t.Errorf("the collection of a user who comes back is loaded anew: %d loads", b.n.Load())
		}
		time.Sleep(3 * time.Minute)
		if n := s.Loaded(); n != 0 {
			t.Errorf("%d collections in memory, want 0", n)
		}
		if look(3) != 1 || s.Loaded() != 1 {
			t.Error("the store does not go on after it was empty")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestUnusedInUse has collections swept away as fast as can be while they are
// used: no update is lost, and events come in order.
func TestUnusedInUse(t *testing.T) {
	const users, rounds = 4, 200
	b := memory.New()
	s := ccstore.Open(b, ccstore.Options{Idle: time.Microsecond})
	t.Cleanup(func() { s.Close() })
	var mu sync.Mutex
	last := make(map[ccstore.Owner]uint64)
	s.Watch(func(e ccstore.Event) {
		mu.Lock()
		defer mu.Unlock()
		if e.Before.Revision() != last[e.Owner] {
			t.Errorf("event from revision %d after %d", e.Before.Revision(), last[e.Owner])
		}
		last[e.Owner] = e.After.Revision()
	})
	var wg sync.WaitGroup
	for worker := range 2 * users {
		wg.Go(func() {
			for i := range rounds {
				err := s.Update(context.Background(), numbered(worker%users), func(tx *ccstore.Tx) error {
					tx.Initialize(fmt.Sprintf("%d.%d", worker, i), storetest.Principal("alice@EXAMPLE.COM"))
					return nil
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	for uid := range users {
		err := s.View(t.Context(), numbered(uid), func(c *ccstore.Collection) error {
			if c.Len() != 2*rounds {
				t.Errorf("%d caches, want %d", c.Len(), 2*rounds)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestResident has users come by with collections that do not fit into memory
// together: the largest leave it first, and come back when they are used.
func TestResident(t *testing.T) {
	b := &loads{Backend: memory.New()}
	const small, large = 10, 3
	s := ccstore.Open(b, ccstore.Options{Resident: 6 << 20})
	t.Cleanup(func() { s.Close() })
	store := func(uid, tickets int) {
		t.Helper()
		creds := storetest.Tickets("alice@EXAMPLE.COM", tickets)
		for _, cred := range creds {
			cred.Ticket = make([]byte, 10<<10)
		}
		err := s.Update(t.Context(), numbered(uid), func(tx *ccstore.Tx) error {
			tx.Replace("x", storetest.Principal("alice@EXAMPLE.COM"), 0, creds)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	count := func(uid int) (n int) {
		t.Helper()
		if err := s.View(t.Context(), numbered(uid), func(c *ccstore.Collection) error {
			n = c.Caches()[0].Len()
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for uid := range small {
		store(uid, 1)
	}
	for uid := range large {
		store(small+uid, 300)
	}
	loaded := b.n.Load()
	for uid := range small {
		count(uid)
	}
	if n := b.n.Load() - loaded; n != 0 {
		t.Errorf("%d small collections left the memory", n)
	}
	for range 2 {
		for uid := range large {
			if n := count(small + uid); n != 300 {
				t.Errorf("%d tickets came back, want 300", n)
			}
			if n := s.Loaded(); n > small+1 {
				t.Errorf("%d collections in memory, want at most %d", n, small+1)
			}
		}
	}
	if n := b.n.Load() - loaded; n < 2*large-1 {
		t.Errorf("large collections were loaded %d times, want at least %d", n, 2*large-1)
	}
	if err := s.Check(t.Context()); err != nil {
		t.Error(err)
	}
}

// TestMemoryGoesBack has many bytes of tickets come into the memory, with more garbage, and
// leave it in one way or another. It makes no garbage later that would have the runtime
// collect it.
func TestMemoryGoesBack(t *testing.T) {
	const tickets, mib = 48, 1 << 20
	for _, tt := range []struct {
		name  string
		o     ccstore.Options
		leave func(tx *ccstore.Tx) error
	}{
		{"destroyed", ccstore.Options{}, func(tx *ccstore.Tx) error { return tx.Destroy("x") }},
		{"removed", ccstore.Options{}, func(tx *ccstore.Tx) error {
			_, err := tx.Remove("x", &ccache.Match{})
			return err
		}},
		{"initialized anew", ccstore.Options{}, func(tx *ccstore.Tx) error {
			tx.Initialize("x", storetest.Principal("alice@EXAMPLE.COM"))
			return nil
		}},
		{"reaped", ccstore.Options{}, func(tx *ccstore.Tx) error {
			tx.Reap(math.MaxInt64)
			return nil
		}},
		{"unused", ccstore.Options{Idle: 100 * time.Millisecond}, nil},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := ccstore.Open(discarding{}, tt.o)
			defer s.Close()
			trim.Now()
			before := heap()
			await := func(what string, most uint64) {
				t.Helper()
				for end := time.Now().Add(time.Minute); heap() > before+most*mib; time.Sleep(10 * time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%s: the heap takes %d MiB, %d before there were %d MiB of tickets", what, heap()/mib, before/mib, tickets)
					}
				}
			}
			update(t, s, func(tx *ccstore.Tx) error {
				creds := storetest.Tickets("alice@EXAMPLE.COM", tickets)
				for _, cred := range creds {
					cred.Ticket = make([]byte, mib)
				}
				tx.Replace("x", storetest.Principal("alice@EXAMPLE.COM"), 0, creds)
				return nil
			})
			await("stored", tickets+tickets/2)
			if tt.leave != nil {
				update(t, s, tt.leave)
			}
			await(tt.name, tickets/2)
		})
	}
}

// heap returns how many bytes of the heap the system has not got back.
func heap() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapSys - m.HeapReleased
}
