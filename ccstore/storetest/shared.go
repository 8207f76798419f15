package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// RunShared runs the suite for two stores over the same stored data. open returns a
// backend for each, which must be a ccstore.Watcher. The sqlite backend is not: it
// locks its database for one process.
func RunShared(t *testing.T, open func(t *testing.T) [2]ccstore.Backend) {
	tests := []struct {
		name string
		f    func(*testing.T, [2]ccstore.Backend)
	}{
		{"Events", testSharedEvents},
		{"Conflicts", testSharedConflicts},
		{"Unwatched", testSharedUnwatched},
		{"LostWatch", testLostWatch},
		{"FailingFresh", testFailingFresh},
		{"Quarantined", testSharedQuarantined},
		{"Reasons", testSharedReasons},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.f(t, open(t)) })
	}
}

// A member is one of the stores that share data. It checks that its events are
// complete: each begins with the collection that the previous one ended with.
type member struct {
	*ccstore.Store
	t *testing.T

	mu      sync.Mutex
	last    *ccstore.Collection
	changes []ccstore.Change
	moved   chan struct{} // receives after each event
}

func newMember(t *testing.T, b ccstore.Backend) *member {
	m := &member{Store: ccstore.Open(b, ccstore.Options{}), t: t, moved: make(chan struct{}, 1)}
	release, err := m.Hold(owner)
	if err != nil {
		t.Fatal(err)
	}
	m.last = view(t, m.Store, owner)
	m.Watch(m.note)
	t.Cleanup(func() {
		release()
		if err := m.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return m
}

func (m *member) note(e ccstore.Event) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if e.Before != m.last {
		m.t.Errorf("an event begins at revision %d, the last one ended at %d", e.Before.Revision(), m.last.Revision())
	}
	m.last = e.After
	m.changes = append(m.changes, e.Changes...)
	select {
	case m.moved <- struct{}{}:
	default:
	}
}

// reach waits for the event of a revision, and returns the changes since the last
// call.
func (m *member) reach(revision uint64) []ccstore.Change {
	m.t.Helper()
	for {
		m.mu.Lock()
		if m.last.Revision() >= revision {
			defer m.mu.Unlock()
			changes := m.changes
			m.changes = nil
			return changes
		}
		m.mu.Unlock()
		select {
		case <-m.moved:
		case <-time.After(time.Minute):
			m.t.Fatalf("revision %d was never reported", revision)
		}
	}
}

// agree waits until all members have the revision of the backend, and checks each
// against the backend (Store.Check).
func agree(t *testing.T, b ccstore.Backend, members ...*member) {
	t.Helper()
	revision := load(t, b).Revision
	for i, m := range members {
		m.reach(revision)
		// When an update returns, readers see the snapshots of all earlier events.
		if err := m.Update(t.Context(), owner, func(*ccstore.Tx) error { return nil }); err != nil {
			t.Fatal(err)
		}
		if err := m.Check(t.Context()); err != nil {
			t.Errorf("store %d: %v", i, err)
		}
	}
}

// kinds returns the kinds and reasons of changes, sorted: those of a difference are in
// another order than those of a commit.
func kinds(changes []ccstore.Change) (list []string) {
	for _, c := range changes {
		list = append(list, fmt.Sprint(c.Kind, c.Reason))
	}
	slices.Sort(list)
	return list
}

// testSharedEvents checks that each store publishes the changes of the other one.
func testSharedEvents(t *testing.T, b [2]ccstore.Backend) {
	one, other := newMember(t, b[0]), newMember(t, b[1])
	fill(t, one.Store, owner, "1000", alice, TGT(alice))
	want(t, "changes", kinds(one.reach(1)), kinds(other.reach(1)))
	update(t, other.Store, owner, func(tx *ccstore.Tx) error {
		return errors.Join(tx.Store("1000", Ticket(alice, "host/a@EXAMPLE.COM")), tx.Move("1000", "1000:b"))
	})
	want(t, "changes", kinds(other.reach(2)), kinds(one.reach(2)))
	agree(t, b[0], one, other)
}

// testSharedReasons checks that one store publishes why the other one removed caches.
func testSharedReasons(t *testing.T, b [2]ccstore.Backend) {
	one, other := newMember(t, b[0]), newMember(t, b[1])
	fill(t, one.Store, owner, "1000", alice, until(500, host("x")))
	fill(t, one.Store, owner, "1000:b", alice, TGT(alice))
	one.reach(2)
	other.reach(2)
	update(t, one.Store, owner, func(tx *ccstore.Tx) error { tx.Reap(ccstore.Never - 1); return nil })
	var reasons []ccstore.Reason
	for _, c := range other.reach(3) {
		if c.Kind == ccstore.CacheDestroyed {
			reasons = append(reasons, c.Reason)
		}
	}
	want(t, "reasons", []ccstore.Reason{ccstore.Reaped, ccstore.Reaped}, reasons)
	agree(t, b[0], one, other)
}

// testSharedConflicts has both stores update one collection as fast as they can. No
// update may fail or be lost.
func testSharedConflicts(t *testing.T, b [2]ccstore.Backend) {
	one, other := newMember(t, b[0]), newMember(t, b[1])
	storeMany(t, one, other)
	agree(t, b[0], one, other)
}

func storeMany(t *testing.T, members ...*member) {
	const rounds = 60
	for _, m := range members { // each conflicts with the one before
		fill(t, m.Store, owner, "1000", alice)
	}
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			for j := range rounds {
				err := m.Update(context.Background(), owner, func(tx *ccstore.Tx) error {
					return tx.Store("1000", Ticket(alice, fmt.Sprintf("host/%d.%d@EXAMPLE.COM", i, j)))
				})
				if err != nil {
					t.Errorf("Update: %v", err)
				}
			}
		})
	}
	wg.Wait()
	last := members[len(members)-1]
	// A conflict makes a store without a watch load the changes of the others.
	update(t, last.Store, owner, func(tx *ccstore.Tx) error { tx.SetDefault("1000:x"); return nil })
	want(t, "tickets", rounds*len(members), cacheOf(t, last.Store, owner, "1000").Len())
}

// testSharedUnwatched does the same with backends that are no Watcher: a store finds
// and publishes the changes of the other one when its own commit has a conflict.
func testSharedUnwatched(t *testing.T, b [2]ccstore.Backend) {
	plain := func(b ccstore.Backend) ccstore.Backend { return struct{ ccstore.Backend }{b} }
	one, other := newMember(t, plain(b[0])), newMember(t, plain(b[1]))
	storeMany(t, one, other)
	update(t, one.Store, owner, func(tx *ccstore.Tx) error { tx.SetDefault("1000:y"); return nil })
	agree(t, b[0], one)
}

// A cutter is a backend whose watches cutAll ends.
type cutter struct {
	ccstore.Backend
	ccstore.Watcher
	mu  sync.Mutex
	cut []context.CancelFunc
}

func (c *cutter) Watch(ctx context.Context, o ccstore.Owner, after uint64, f func(ccstore.Moved)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	c.mu.Lock()
	c.cut = append(c.cut, cancel)
	c.mu.Unlock()
	return c.Watcher.Watch(ctx, o, after, f)
}

func (c *cutter) cutAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, cancel := range c.cut {
		cancel()
	}
	c.cut = nil
}

// testLostWatch ends the watches of both stores again and again, while both make
// random updates and are read. A reader never sees an older revision than before, and
// at last both stores agree.
func testLostWatch(t *testing.T, b [2]ccstore.Backend) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var members [2]*member
	var cutters [2]*cutter
	for i := range b {
		cutters[i] = &cutter{Backend: b[i], Watcher: b[i].(ccstore.Watcher)}
		members[i] = newMember(t, cutters[i])
	}
	var wg sync.WaitGroup
	for i, m := range members {
		wg.Go(func() {
			rnd := rand.New(rand.NewPCG(seed, uint64(i)))
			var seen uint64
			for range 150 {
				if rnd.IntN(3) == 0 {
					cutters[rnd.IntN(2)].cutAll()
				}
				if err := m.Update(context.Background(), owner, randomUpdate(rnd)); err != nil {
					t.Errorf("Update: %v", err)
				}
				c, err := m.Snapshot(context.Background(), owner)
				if err != nil {
					t.Errorf("Snapshot: %v", err)
					return
				}
				if c.Revision() < seen {
					t.Errorf("a reader sees revision %d after %d", c.Revision(), seen)
				}
				seen = c.Revision()
			}
		})
	}
	wg.Wait()
	agree(t, b[0], members[0], members[1])
}

// A deaf backend does not learn of other writers while isDeaf is set.
type deaf struct {
	ccstore.Backend
	ccstore.Watcher
	isDeaf atomic.Bool
}

func (d *deaf) Watch(ctx context.Context, o ccstore.Owner, after uint64, f func(ccstore.Moved)) error {
	if d.isDeaf.Load() {
		return errors.New("cannot watch")
	}
	return d.Watcher.Watch(ctx, o, after, f)
}

func (d *deaf) Fresh(ctx context.Context, o ccstore.Owner, revision uint64) (bool, error) {
	if d.isDeaf.Load() {
		<-ctx.Done()
		return false, ctx.Err()
	}
	return d.Watcher.Fresh(ctx, o, revision)
}

// testFailingFresh has one store that cannot find out whether its snapshot is the
// latest. Readers get that snapshot, updates succeed, and the events are complete.
func testFailingFresh(t *testing.T, b [2]ccstore.Backend) {
	d := &deaf{Backend: b[0], Watcher: b[0].(ccstore.Watcher)}
	d.isDeaf.Store(true)
	one, other := newMember(t, d), newMember(t, b[1])
	fill(t, other.Store, owner, "1000", alice, TGT(alice))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, err := one.Snapshot(ctx, owner)
	if err != nil || ctx.Err() != nil {
		t.Fatalf("Snapshot: %v, %v", err, ctx.Err())
	}
	want(t, "revision that a reader gets", 0, c.Revision())
	fill(t, one.Store, owner, "1000:b", bob, TGT(bob))
	want(t, "caches", []string{"1000", "1000:b"}, names(one.last))
	fill(t, other.Store, owner, "1000:c", alice)
	d.isDeaf.Store(false)
	agree(t, b[0], one, other)
}

// testSharedQuarantined stores a credential that cannot be decoded. Each store
// quarantines it in memory, and does not change the backend.
func testSharedQuarantined(t *testing.T, b [2]ccstore.Backend) {
	follows := newMember(t, b[0])
	fill(t, follows.Store, owner, "1000", alice, TGT(alice))
	junk := ccstore.CredentialRecord{Cache: 1, Seq: 7, UUID: uuid.New(), Data: []byte("junk")}
	err := b[1].Commit(t.Context(), &ccstore.Commit{Owner: owner, Revision: 1, Ops: []ccstore.Op{ccstore.PutCredential{CredentialRecord: junk}}})
	if err != nil {
		t.Fatal(err)
	}
	loads := newMember(t, b[1])
	follows.reach(2)
	for _, m := range []*member{follows, loads} {
		want(t, "quarantined", 1, m.last.Quarantined())
		want(t, "revision", 2, m.last.Revision())
	}
	fill(t, loads.Store, owner, "1000:b", bob)
	follows.reach(3)
	want(t, "stored revision", 3, load(t, b[0]).Revision)
}

// randomUpdate returns a random change of one of three caches.
func randomUpdate(rnd *rand.Rand) func(*ccstore.Tx) error {
	name := func() string { return []string{"1000", "1000:a", "1000:b"}[rnd.IntN(3)] }
	from, to, what := name(), name(), rnd.IntN(8)
	server := fmt.Sprintf("host/%d@EXAMPLE.COM", rnd.IntN(5))
	return func(tx *ccstore.Tx) error {
		var err error
		switch what {
		case 0:
			tx.Initialize(from, Principal(alice))
		case 1:
			err = tx.Destroy(from)
		case 2:
			err = tx.Move(from, to)
		case 3:
			tx.SetDefault(from)
		default:
			err = tx.Store(from, Ticket(alice, server))
		}
		if errors.Is(err, ccstore.ErrNoCache) {
			tx.Initialize(from, Principal(bob))
		} else if err != nil {
			return err
		}
		return nil
	}
}
