package ccstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

var owner = ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000}

// A faulty backend fails as it is told to.
type faulty struct {
	ccstore.Backend
	before, after error         // returned in place of a commit, or after one
	gate          chan struct{} // if not nil, commits wait for it
	load          error
	commits       int
}

func (b *faulty) Commit(ctx context.Context, c *ccstore.Commit) error {
	if b.gate != nil {
		<-b.gate
	}
	b.commits++
	if b.before != nil {
		return b.before
	}
	if err := b.Backend.Commit(ctx, c); err != nil {
		return err
	}
	return b.after
}

func (b *faulty) Load(ctx context.Context, o ccstore.Owner) (*ccstore.Record, error) {
	if b.load != nil {
		return nil, b.load
	}
	return b.Backend.Load(ctx, o)
}

func initialize(s *ccstore.Store, name string) error {
	return s.Update(context.Background(), owner, func(tx *ccstore.Tx) error {
		tx.Initialize(name, storetest.Principal("alice@EXAMPLE.COM"))
		return nil
	})
}

func has(t *testing.T, s *ccstore.Store, name string) bool {
	t.Helper()
	var found bool
	err := s.View(t.Context(), owner, func(c *ccstore.Collection) error {
		_, err := c.Cache(name)
		found = err == nil
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// TestCommitFails has commits fail in each way that there is: afterwards the
// store says what the backend holds, and nobody was told of what is not so.
func TestCommitFails(t *testing.T) {
	full := errors.New("disk full")
	unknown := fmt.Errorf("%w: I/O error", ccstore.ErrOutcomeUnknown)
	tests := []struct {
		name          string
		before, after error
		made          bool // the backend says afterwards that it was made
	}{
		{"not made", full, nil, false},
		{"unknown, and not made", unknown, nil, false},
		{"unknown, and made", nil, unknown, true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := &faulty{Backend: memory.New()}
			s := storetest.New(t, b)
			if err := initialize(s, "first"); err != nil {
				t.Fatal(err)
			}
			var events []ccstore.Event
			s.Watch(func(e ccstore.Event) { events = append(events, e) })
			b.before, b.after = tt.before, tt.after
			if err := initialize(s, "second"); errors.Is(err, ccstore.ErrBackend) == tt.made {
				t.Errorf("Update: %v", err)
			}
			b.before, b.after = nil, nil
			if !has(t, s, "first") || has(t, s, "second") != tt.made {
				t.Errorf("first: %v, second: %v", has(t, s, "first"), has(t, s, "second"))
			}
			if want := map[bool]int{true: 1}[tt.made]; len(events) != want {
				t.Errorf("%d events, want %d", len(events), want)
			}
			for _, e := range events {
				if e.Before.Len() != 1 || e.After.Len() != 2 || len(e.Changes) != 1 || e.Changes[0].Kind != ccstore.CacheCreated {
					t.Errorf("event of %d caches, then %d: %v", e.Before.Len(), e.After.Len(), e.Changes)
				}
			}
			if err := initialize(s, "third"); err != nil { // it goes on
				t.Errorf("Update: %v", err)
			}
		})
	}
}

// A spoilt backend has a credential that cannot be read, once it is told to.
type spoilt struct {
	*faulty
	junk bool
}

func (b *spoilt) Load(ctx context.Context, o ccstore.Owner) (*ccstore.Record, error) {
	r, err := b.faulty.Load(ctx, o)
	if err == nil && b.junk {
		r.Credentials = append(r.Credentials, ccstore.CredentialRecord{Cache: 1, Seq: 9, Data: []byte("junk")})
	}
	return r, err
}

// TestCommitFailsAndRepair has a commit that is not made, and may have been, and a
// collection that is repaired when it is read again: nobody is told of what is
// not so.
func TestCommitFailsAndRepair(t *testing.T) {
	b := &spoilt{faulty: &faulty{Backend: memory.New()}}
	s := ccstore.Open(b, ccstore.Options{})
	defer s.Close()
	err := s.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
		tx.Initialize("first", storetest.Principal("alice@EXAMPLE.COM"))
		return tx.Store("first", storetest.TGT("alice@EXAMPLE.COM"))
	})
	if err != nil {
		t.Fatal(err)
	}
	s.Watch(func(e ccstore.Event) {
		if len(e.Changes) > 0 {
			t.Errorf("event of %v", e.Changes)
		}
	})
	b.before, b.load = ccstore.ErrOutcomeUnknown, errors.New("I/O error")
	if err := initialize(s, "second"); !errors.Is(err, ccstore.ErrOutcomeUnknown) {
		t.Errorf("Update: %v", err)
	}
	b.before, b.load, b.junk = nil, nil, true
	if has(t, s, "second") || b.commits != 3 {
		t.Errorf("second: %v, after %d commits; want the one that made it, the one that failed, and a repair", has(t, s, "second"), b.commits)
	}
}

// TestLoadFails cannot read a collection, and reads it when it can be read again.
func TestLoadFails(t *testing.T) {
	b := &faulty{Backend: memory.New(), load: errors.New("I/O error")}
	s := storetest.New(t, b)
	err := s.View(t.Context(), owner, func(*ccstore.Collection) error { return nil })
	if !errors.Is(err, ccstore.ErrBackend) {
		t.Errorf("View: %v", err)
	}
	if err := initialize(s, "x"); !errors.Is(err, ccstore.ErrBackend) {
		t.Errorf("Update: %v", err)
	}
	b.load = nil
	if err := initialize(s, "x"); err != nil || !has(t, s, "x") {
		t.Errorf("Update: %v", err)
	}
}

// TestSharedCommit holds up one commit: the updates that come meanwhile share
// the next one, and one that fails among them harms no other.
func TestSharedCommit(t *testing.T) {
	const waiting = 20
	b := &faulty{Backend: memory.New(), gate: make(chan struct{})}
	s := storetest.New(t, b)
	var wg sync.WaitGroup
	started := make(chan struct{})
	wg.Go(func() {
		err := s.Update(context.Background(), owner, func(tx *ccstore.Tx) error {
			tx.Initialize("first", storetest.Principal("alice@EXAMPLE.COM"))
			close(started)
			return nil
		})
		if err != nil {
			t.Errorf("Update: %v", err)
		}
	})
	<-started
	refused := errors.New("refused")
	for i := range waiting {
		wg.Go(func() {
			err := s.Update(context.Background(), owner, func(tx *ccstore.Tx) error {
				tx.Initialize(fmt.Sprint(i), storetest.Principal("alice@EXAMPLE.COM"))
				if i%4 == 3 {
					return refused
				}
				return nil
			})
			if errors.Is(err, refused) != (i%4 == 3) {
				t.Errorf("Update %d: %v", i, err)
			}
		})
	}
	// All of them wait for the first: nobody else can tell when they do.
	time.Sleep(50 * time.Millisecond)
	close(b.gate)
	wg.Wait()
	for i := range waiting {
		if has(t, s, fmt.Sprint(i)) != (i%4 != 3) {
			t.Errorf("cache %d: %v", i, has(t, s, fmt.Sprint(i)))
		}
	}
	if b.commits > waiting/2 {
		t.Errorf("%d commits for %d updates", b.commits, 1+waiting)
	}
}
