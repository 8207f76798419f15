package dbus

import (
	"context"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// A slowBackend, while it is slow, stops in Owners, once it knows the answer, until
// it is let go on.
type slowBackend struct {
	ccstore.Backend
	slow        atomic.Bool
	asked, goOn chan struct{}
}

func newSlowBackend() *slowBackend {
	return &slowBackend{Backend: memory.New(), asked: make(chan struct{}), goOn: make(chan struct{})}
}

func (b *slowBackend) Owners(ctx context.Context) ([]ccstore.Owner, error) {
	owners, err := b.Backend.Owners(ctx)
	if b.slow.Load() {
		b.asked <- struct{}{}
		<-b.goOn
	}
	return owners, err
}

// meanwhile calls f while a snapshot waits for the backend, which does not know
// yet what f does.
func (b *slowBackend) meanwhile(t *testing.T, c *client, f func()) *model {
	t.Helper()
	b.slow.Store(true)
	taken := make(chan *model)
	go func() {
		var m *model
		defer func() { taken <- m }()
		m = snapshot(c)
	}()
	wait(t, b.asked, "the owners are listed")
	b.slow.Store(false)
	f()
	b.goOn <- struct{}{}
	return <-taken
}

// TestFirstCommitDuringSnapshot: root takes a snapshot, and between the list of
// owners and the look at their collections one more comes and is announced, to
// nobody. Root must see it all the same: it will never be told again.
func TestFirstCommitDuringSnapshot(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	backend := newSlowBackend()
	store := storetest.CheckedAtEnd(t, ccstore.Open(backend, ccstore.Options{}))
	startService(t, store, Config{Address: bus.address})
	m := backend.meanwhile(t, bus.connect(t), func() {
		kinit(t, store, bobUID, "2", alice())
		time.Sleep(2 * gathering)
	})
	if got := m.objects[pathOf(t, store, bobUID, "2")]; got == nil {
		t.Error("root does not see who came meanwhile")
	}
	m.agrees()
}

// TestSnapshotNotAheadOfSignals: the same, but root has subscribed before, and
// what came is still gathered. Root must be told of it before it sees it.
func TestSnapshotNotAheadOfSignals(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	backend := newSlowBackend()
	store := storetest.CheckedAtEnd(t, ccstore.Open(backend, ccstore.Options{}))
	startService(t, store, Config{Address: bus.address})
	root := bus.connect(t)
	m := snapshot(root)
	fresh := backend.meanwhile(t, root, func() { kinit(t, store, bobUID, "2", alice()) })
	same := cmp.AllowUnexported(godbus.Variant{}, godbus.Signature{})
	if diff := cmp.Diff(fresh.at(fresh.after), m.at(fresh.after), same); diff != "" {
		t.Errorf("snapshot (-) and snapshot with signals (+) differ:\n%s", diff)
	}
}

// TestSnapshotAheadOfEvents: a snapshot is taken when a commit is visible but
// its event has not come, while an older event waits. Neither of the two may
// take the client back.
func TestSnapshotAheadOfEvents(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	goOn := make(chan struct{})
	reached := make(chan struct{}, 1)
	store.Watch(func(e ccstore.Event) { // comes before the service's own
		if e.After.Len() == 2 {
			reached <- struct{}{}
			<-goOn
		}
	})
	s := startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	c.call(rootPath, "org.freedesktop.DBus.Peer.Ping")

	kinit(t, store, uid, "first", alice())
	done := make(chan struct{})
	go func() {
		defer close(done)
		kinit(t, store, uid, "second", alice())
	}()
	wait(t, reached, "the second commit is visible")
	m := snapshot(c)
	if got := len(m.objects); got != 3 {
		t.Errorf("%d objects, want the collection and two caches", got)
	}
	b := s.current.Load()
	eventually(t, "the first event is announced", func() bool {
		b.pending.mu.Lock()
		defer b.pending.mu.Unlock()
		return len(b.pending.batch.byOwner) == 0
	})
	if got := len(must[objects](c, rootPath, managedObjects)); got != 3 {
		t.Errorf("%d objects then, want 3", got)
	}
	close(goOn)
	wait(t, done, "the second commit")
	must[objects](c, rootPath, managedObjects)
	m.agrees()
	if got := c.received(); len(got) != 0 {
		t.Errorf("told of what it knew: %v", tell(got))
	}
}

// TestSubscribedBeforeMirror: a commit is visible but its event has not come, and
// somebody takes a snapshot with it. Who was subscribed before, and has not seen
// it, must be told all the same when the event comes; who has is not told again.
func TestSubscribedBeforeMirror(t *testing.T) {
	needRoot(t)
	for _, more := range []bool{false, true} {
		t.Run(fmt.Sprintf("another commit %v", more), func(t *testing.T) {
			bus := startBus(t, "system")
			store := newStore(t)
			reached, goOn := make(chan struct{}, 1), make(chan struct{})
			store.Watch(func(e ccstore.Event) { // comes before the service's own
				if e.Before.Revision() == 0 {
					reached <- struct{}{}
					<-goOn
				}
			})
			startService(t, store, Config{Address: bus.address})
			first, second := bus.connect(t), bus.connect(t)
			before := snapshot(first)
			done := make(chan struct{})
			go func() {
				defer close(done)
				kinit(t, store, bobUID, "2", alice())
			}()
			wait(t, reached, "the commit is visible")
			after := snapshot(second)
			cache := pathOf(t, store, bobUID, "2")
			if after.objects[cache] == nil {
				t.Fatal("the snapshot does not show what is visible")
			}
			close(goOn)
			wait(t, done, "the commit")
			if more {
				kinit(t, store, bobUID, "2:x", alice())
			}
			before.agrees()
			after.agrees()
			if got := tell(first.received("TicketsAdded")); len(got) == 0 {
				t.Error("the first was not told of the ticket")
			}
			want := []string(nil)
			if more {
				want = []string{"Added", "TicketsAdded 1", "Collection [Caches]"}
			}
			if diff := cmp.Diff(want, tell(second.received())); diff != "" {
				t.Errorf("the second was told (-want +got):\n%s", diff)
			}
		})
	}
}

// TestMirrorOfNobody: what was mirrored for a subscriber who left is not what
// the next caller gets.
func TestMirrorOfNobody(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	for range 5 {
		must[objects](c, rootPath, managedObjects)
		if err := c.call(rootPath, "Manager.Unsubscribe").Err; err != nil {
			t.Fatal(err)
		}
		kinit(t, store, uid, "x", alice())
		if got := c.property(userPath+"/self", "Collection", "TicketCount"); got != uint32(1) {
			t.Fatalf("TicketCount %v, want 1", got)
		}
		m := snapshot(c)
		if err := c.call(userPath+"/self", "Collection.DestroyAll").Err; err != nil {
			t.Fatal(err)
		}
		m.agrees()
	}
}
