package ccstore_test

import (
	"errors"
	"fmt"
	"runtime"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestPublishedBeforeShown looks at the collection from a watcher: it still
// reads as before the change, though the change is durable.
func TestPublishedBeforeShown(t *testing.T) {
	b := memory.New()
	s := storetest.New(t, b)
	if err := initialize(s, "first"); err != nil {
		t.Fatal(err)
	}
	calls := 0
	s.Watch(func(e ccstore.Event) {
		calls++
		if seen, err := s.Snapshot(t.Context(), owner); err != nil || seen != e.Before {
			t.Errorf("a reader sees revision %d before its watcher was called", seen.Revision())
		}
		if r, err := b.Load(t.Context(), owner); err != nil || r.Revision != e.After.Revision() {
			t.Errorf("the watcher is called for revision %d, the backend has %d", e.After.Revision(), r.Revision)
		}
	})
	if err := initialize(s, "second"); err != nil || calls != 1 {
		t.Errorf("%d events, %v", calls, err)
	}
	if !has(t, s, "second") {
		t.Error("the update is not visible when it returns")
	}
}

// TestLatest has an event wake a task, which looks at the collection before the other
// watchers are done.
func TestLatest(t *testing.T) {
	s := storetest.New(t, memory.New())
	if err := initialize(s, "first"); err != nil {
		t.Fatal(err)
	}
	events, looking, seen := make(chan ccstore.Event, 1), make(chan bool), make(chan *ccstore.Collection, 1)
	s.Watch(func(e ccstore.Event) { events <- e })
	s.Watch(func(ccstore.Event) {
		<-looking
		for range 1000 {
			runtime.Gosched()
		}
	})
	var after *ccstore.Collection
	go func() {
		after = (<-events).After
		close(looking)
		c, err := s.Latest(t.Context(), owner)
		if err != nil {
			t.Error(err)
		}
		seen <- c
	}()
	if err := initialize(s, "second"); err != nil {
		t.Fatal(err)
	}
	if c := <-seen; c != after {
		t.Errorf("the task sees revision %d, the event left %d", c.Revision(), after.Revision())
	}
}

// TestWatchEnds has three watchers, of which the second ends.
func TestWatchEnds(t *testing.T) {
	s := storetest.New(t, memory.New())
	var calls [3]int
	var stops [3]func()
	for i := range calls {
		stops[i] = s.Watch(func(ccstore.Event) { calls[i]++ })
	}
	if err := initialize(s, "first"); err != nil {
		t.Fatal(err)
	}
	stops[1]()
	stops[1]()
	if err := initialize(s, "second"); err != nil {
		t.Fatal(err)
	}
	if want := [3]int{2, 1, 2}; calls != want {
		t.Errorf("calls %v, want %v", calls, want)
	}
}

// chain fails the test if an event of s does not begin where the one before it
// ended, and collects the changes.
func chain(t *testing.T, s *ccstore.Store) *[]ccstore.Change {
	var last *ccstore.Collection
	var changes []ccstore.Change
	s.Watch(func(e ccstore.Event) {
		if last != nil && e.Before != last {
			t.Errorf("an event begins at revision %d, the last one ended at %d", e.Before.Revision(), last.Revision())
		}
		last = e.After
		changes = append(changes, e.Changes...)
	})
	return &changes
}

// TestConflictIsPublished has another writer change the collection: the update
// that meets the change publishes it, before its own.
func TestConflictIsPublished(t *testing.T) {
	b := memory.New()
	s := storetest.New(t, b)
	changes := chain(t, s)
	if err := initialize(s, "mine"); err != nil {
		t.Fatal(err)
	}
	*changes = nil
	other := ccstore.Open(b, ccstore.Options{})
	if err := initialize(other, "theirs"); err != nil {
		t.Fatal(err)
	}
	if err := other.Update(t.Context(), owner, func(tx *ccstore.Tx) error { return tx.Destroy("mine") }); err != nil {
		t.Fatal(err)
	}
	if err := initialize(s, "third"); err != nil {
		t.Fatal(err)
	}
	var kinds []ccstore.ChangeKind
	for _, c := range *changes {
		kinds = append(kinds, c.Kind)
	}
	want := []ccstore.ChangeKind{ccstore.CacheDestroyed, ccstore.CacheCreated, ccstore.CacheCreated}
	if fmt.Sprint(kinds) != fmt.Sprint(want) {
		t.Errorf("changes %v, want %v", kinds, want)
	}
}

// TestReadableWhileSuspect has a commit of unknown outcome and then a backend
// that fails: what was known is served until the collection can be loaded again.
func TestReadableWhileSuspect(t *testing.T) {
	b := &faulty{Backend: memory.New()}
	s := storetest.New(t, b)
	chain(t, s)
	if err := initialize(s, "first"); err != nil {
		t.Fatal(err)
	}
	b.after, b.load = ccstore.ErrOutcomeUnknown, errors.New("I/O error")
	if err := initialize(s, "second"); !errors.Is(err, ccstore.ErrBackend) {
		t.Errorf("Update: %v", err)
	}
	if !has(t, s, "first") || has(t, s, "second") {
		t.Error("a reader does not see what was known")
	}
	if err := initialize(s, "third"); !errors.Is(err, ccstore.ErrBackend) {
		t.Errorf("Update of a collection that cannot be loaded: %v", err)
	}
	b.after, b.load = nil, nil
	if err := initialize(s, "third"); err != nil {
		t.Errorf("Update: %v", err)
	}
	if !has(t, s, "first") || !has(t, s, "second") || !has(t, s, "third") {
		t.Error("the commit of unknown outcome was made, and is not there")
	}
}
