package ccstore_test

import (
	"fmt"
	"sync"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestAnnounce announces while others commit: each event begins where the one
// before it ended, and f gets what that left.
func TestAnnounce(t *testing.T) {
	s := storetest.CheckedAtEnd(t, ccstore.Open(memory.New(), ccstore.Options{}))
	owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1}
	update := func(i int) {
		err := s.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
			tx.Initialize(fmt.Sprint(i%5), storetest.Principal("alice@EXAMPLE.COM"))
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	update(0)
	var last *ccstore.Collection
	notices := 0
	defer s.Watch(func(e ccstore.Event) {
		if last != nil && e.Before != last {
			t.Errorf("an event begins at revision %d, the last one ended at %d", e.Before.Revision(), last.Revision())
		}
		last = e.After
		notices += len(e.Notices)
	})()
	const n = 200
	var all sync.WaitGroup
	all.Go(func() {
		for i := range n {
			update(i)
		}
	})
	all.Go(func() {
		for i := range n {
			err := s.Announce(t.Context(), owner, func(c *ccstore.Collection) []ccstore.Notice {
				if last != nil && c != last {
					t.Errorf("f got revision %d, the last event ended at %d", c.Revision(), last.Revision())
				}
				return make([]ccstore.Notice, i%2)
			})
			if err != nil {
				t.Error(err)
			}
		}
	})
	all.Wait()
	if notices != n/2 {
		t.Errorf("%d notices, want %d", notices, n/2)
	}
}

// TestWatchHolds counts the holds on collections.
func TestWatchHolds(t *testing.T) {
	s := storetest.CheckedAtEnd(t, ccstore.Open(memory.New(), ccstore.Options{}))
	hold := func(uid uint32) func() {
		t.Helper()
		release, err := s.Hold(ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid})
		if err != nil {
			t.Fatal(err)
		}
		return release
	}
	var calls string
	first := hold(1)
	stop := s.WatchHolds(func(o ccstore.Owner, held bool) { calls += fmt.Sprint(o.UID, held, " ") })
	two := hold(2)
	second := hold(1)
	first()
	first() // counts once
	two()
	second()
	third := hold(1)
	stop()
	third()
	if want := "1 true 2 true 2 false 1 false 1 true "; calls != want {
		t.Errorf("calls %q, want %q", calls, want)
	}
}
