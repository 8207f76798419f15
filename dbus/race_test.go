package dbus

import (
	"context"
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
func (b *slowBackend) meanwhile(t *testing.T, c *tester, f func()) *model {
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

// holdEvent has the watchers that store gets later wait for an event: from when
// reached receives until goOn is closed.
func holdEvent(store *ccstore.Store, which func(ccstore.Event) bool) (reached <-chan struct{}, goOn chan<- struct{}) {
	r, g := make(chan struct{}, 1), make(chan struct{})
	store.Watch(func(e ccstore.Event) {
		if which(e) {
			r <- struct{}{}
			<-g
		}
	})
	return r, g
}

// TestSnapshotNotAheadOfEvents: a snapshot is taken when a commit is durable but
// its event has not come, while an older event waits. It shows the older change
// only, and the signals bring it up to date.
func TestSnapshotNotAheadOfEvents(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	reached, goOn := holdEvent(store, func(e ccstore.Event) bool { return e.After.Len() == 2 })
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	c.call(rootPath, "org.freedesktop.DBus.Peer.Ping")

	kinit(t, store, uid, "first", alice())
	done := make(chan struct{})
	go func() {
		defer close(done)
		kinit(t, store, uid, "second", alice())
	}()
	wait(t, reached, "the second commit is durable")
	m := snapshot(c)
	if got := len(m.objects); got != 2 {
		t.Errorf("%d objects, want the collection and the first cache", got)
	}
	close(goOn)
	wait(t, done, "the second commit")
	m.agrees()
	if got := tell(c.received("TicketsAdded")); len(got) != 1 {
		t.Errorf("told of %v, want the second ticket", got)
	}
}

// TestSubscribedBeforeEvent: a commit is durable but its event has not come, and
// somebody takes a snapshot. Who was subscribed before and who has just come are
// both told of it when the event comes.
func TestSubscribedBeforeEvent(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	reached, goOn := holdEvent(store, func(e ccstore.Event) bool { return e.Before.Revision() == 0 })
	startService(t, store, Config{Address: bus.address})
	first, second := bus.connect(t), bus.connect(t)
	before := snapshot(first)
	done := make(chan struct{})
	go func() {
		defer close(done)
		kinit(t, store, bobUID, "2", alice())
	}()
	wait(t, reached, "the commit is durable")
	during := snapshot(second)
	close(goOn)
	wait(t, done, "the commit")
	cache := pathOf(t, store, bobUID, "2")
	if during.objects[cache] != nil {
		t.Error("the snapshot shows what no event has told of")
	}
	before.agrees()
	during.agrees()
	for _, c := range []*tester{first, second} {
		if got := tell(c.received("TicketsAdded")); len(got) != 1 {
			t.Errorf("told of %v, want one ticket", got)
		}
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
