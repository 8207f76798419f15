package ccstore_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// A contended backend refuses many commits because of other writers.
type contended struct {
	ccstore.Backend
	refused int
}

const manyConflicts = 10_000

func (b *contended) Commit(ctx context.Context, c *ccstore.Commit) error {
	if b.refused < manyConflicts {
		b.refused++
		return ccstore.ErrConflict
	}
	return b.Backend.Commit(ctx, c)
}

// TestCommitTimeout has each attempt to commit meet a conflict: the update is tried
// again until the commit timeout, and then fails.
func TestCommitTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &contended{Backend: memory.New()}
		s := ccstore.Open(b, ccstore.Options{CommitTimeout: 3 * time.Second})
		defer s.Close()
		start := time.Now()
		err := initialize(s, "x")
		if !errors.Is(err, ccstore.ErrConflict) || !errors.Is(err, ccstore.ErrBackend) {
			t.Errorf("Update: %v", err)
		}
		if took := time.Since(start); took < 3*time.Second || took > 4*time.Second || b.refused < 10 {
			t.Errorf("%d attempts in %v", b.refused, took)
		}
	})
}

// A sizing backend notes how much each commit stores.
type sizing struct {
	*faulty
	sizes []int
}

func (b *sizing) Commit(ctx context.Context, c *ccstore.Commit) error {
	size := 0
	for _, op := range c.Ops {
		if put, ok := op.(ccstore.PutCredential); ok {
			size += len(put.Data)
		}
	}
	err := b.faulty.Commit(ctx, c)
	b.sizes = append(b.sizes, size)
	return err
}

// TestLargeSharedCommit has updates of 3 MiB wait for one commit: each of the next
// ones has at most 8 MiB, and one update of 9 MiB a commit of its own.
func TestLargeSharedCommit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &sizing{faulty: &faulty{Backend: memory.New(), gate: make(chan struct{})}}
		s := ccstore.Open(b, ccstore.Options{})
		defer s.Close()
		var wg sync.WaitGroup
		start := func(f func(*ccstore.Tx) error) {
			wg.Go(func() {
				if err := s.Update(context.Background(), owner, f); err != nil {
					t.Errorf("Update: %v", err)
				}
			})
			synctest.Wait()
		}
		start(fill("x", storetest.TGT(alice)))
		for i, mib := range []int{3, 3, 3, 9, 3} {
			cred := host(fmt.Sprint(i))
			cred.Ticket = make([]byte, mib<<20)
			start(store("x", cred))
		}
		close(b.gate)
		wg.Wait()
		var got []int
		for _, size := range b.sizes {
			got = append(got, size>>20)
		}
		if want := "[0 6 3 9 3]"; fmt.Sprint(got) != want {
			t.Errorf("MiB in each commit: %v, want %v", got, want)
		}
	})
}

// TestHold holds a collection that nobody uses: it stays in memory until it is
// released.
func TestHold(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &loads{Backend: memory.New()}
		s := ccstore.Open(b, ccstore.Options{Idle: time.Minute})
		defer s.Close()
		release, err := s.Hold(owner)
		if err != nil {
			t.Fatal(err)
		}
		if err := initialize(s, "x"); err != nil {
			t.Fatal(err)
		}
		before, err := s.Snapshot(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(10 * time.Minute)
		after, err := s.Snapshot(t.Context(), owner)
		if err != nil || after != before || b.n.Load() != 1 {
			t.Errorf("the held collection was loaded %d times, %v", b.n.Load(), err)
		}
		release()
		release() // does nothing
		time.Sleep(10 * time.Minute)
		if n := s.Loaded(); n != 0 {
			t.Errorf("%d collections in memory after the release", n)
		}
	})
}
