package dbus

import (
	"errors"
	"os"
	"sync/atomic"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
)

func (c *tester) setScope(scope string) {
	c.t.Helper()
	if err := c.call(rootPath, "Manager.SetScope", scope).Err; err != nil {
		c.t.Fatal(err)
	}
}

// agrees checks that what the client knows is what a fresh snapshot says.
func (m *model) agrees() {
	m.c.t.Helper()
	if diff := m.difference(); diff != "" {
		m.c.t.Errorf("snapshot (-) and snapshot with signals (+) differ:\n%s", diff)
	}
}

// TestScope has root look at its own things only, and at all again.
func TestScope(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, 0, "0", alice())
	kinit(t, store, aliceUID, "1", alice())
	kinit(t, store, bobUID, "2", alice())
	startService(t, store, Config{Address: bus.address})
	root := bus.connect(t)
	m := snapshot(root)
	all := len(m.objects)
	root.setScope("own")
	m.agrees()
	if got := len(m.at(0)); got != 2 {
		t.Errorf("%d objects of root's own, want 2", got)
	}
	if diff := cmp.Diff([]listedCollection{{0, collectionPath(0)}}, must[[]listedCollection](root, rootPath, "Manager.ListCollections")); diff != "" {
		t.Errorf("own collections (-want +got):\n%s", diff)
	}
	if name, _ := root.fails(pathOf(t, store, aliceUID, "1"), "Cache.Destroy"); name != errUnknownObject {
		t.Errorf("what is out of scope: %s", name)
	}
	root.forget()
	m = snapshot(root)
	kinit(t, store, aliceUID, "1:x", alice())
	kinit(t, store, 0, "0:x", alice())
	m.agrees()
	if got := root.received("InterfacesAdded"); len(got) != 1 {
		t.Errorf("told of %d objects, want only root's own one", len(got))
	}
	root.setScope("own")
	root.setScope("all")
	m.agrees()
	if got := len(m.at(0)); got != all+2 {
		t.Errorf("%d objects in all, want %d", got, all+2)
	}
	kinit(t, store, bobUID, "2:x", alice())
	m.agrees()

	// A subscription to one collection is still to that one.
	path := collectionPath(aliceUID)
	if err := root.call(rootPath, "Manager.Subscribe", onlyCollection(path)).Err; err != nil {
		t.Fatal(err)
	}
	root.forget()
	root.setScope("own")
	root.setScope("all")
	if removed, added := root.received("InterfacesRemoved"), root.received("InterfacesAdded"); len(removed) != 3 || len(added) != 3 {
		t.Errorf("told of %d and %d objects that go and come, want 3 and 3", len(removed), len(added))
	}
}

// TestRootChanges: what root changes of another user's, that one is told of.
func TestRootChanges(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	kinit(t, store, bobUID, "2", alice())
	startService(t, store, Config{Address: bus.address})
	root, one := bus.connect(t), bus.connectAs(t, aliceUID)
	m := snapshot(one)
	cache := pathOf(t, store, aliceUID, "1")
	if name, _ := root.fails(collectionPath(bobUID), "Collection.SetDefault", cache); name != errInvalidArgs {
		t.Errorf("a cache of another collection as default: %s", name)
	}
	if err := root.call(cache, "Cache.Destroy").Err; err != nil {
		t.Fatal(err)
	}
	m.agrees()
	if got := one.received("InterfacesRemoved"); len(got) != 1 {
		t.Errorf("told of %d removed objects", len(got))
	}
}

// TestForeignChange: what a caller does not see it cannot change.
func TestForeignChange(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	startService(t, store, Config{Address: bus.address})
	bob := bus.connectAs(t, bobUID)
	path, cache := collectionPath(aliceUID), pathOf(t, store, aliceUID, "1")
	for _, call := range []struct {
		path godbus.ObjectPath
		name string
		args []any
	}{
		{path, "Collection.DestroyAll", nil},
		{path, "Collection.SetDefault", []any{cache}},
		{userPath + "/self", "Collection.SetDefault", []any{cache}},
		{cache, "Cache.Destroy", nil},
		{cache, "Cache.SwitchTo", nil},
		{cache, "Cache.RemoveTickets", []any{[]string{}}},
	} {
		if name, text := bob.fails(call.path, call.name, call.args...); name != errUnknownObject || text != unknownObject.text {
			t.Errorf("%s on %s: %s %q", call.name, call.path, name, text)
		}
	}
	if got := bob.property(userPath+"/self", "Collection", "UID"); got != uint32(bobUID) {
		t.Errorf("self is %v", got)
	}
}

// TestLevels has processes of one user at two levels, and root at one of them.
func TestLevels(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	var level atomic.Value // of whoever calls first next
	startService(t, store, Config{Address: bus.address, Level: func(string) (string, error) {
		if level.Load() == "none" {
			return "", errors.New("no such level")
		}
		return level.Load().(string), nil
	}})
	at := func(l string, uid uint32) *tester {
		level.Store(l)
		c := bus.connectAs(t, uid)
		c.call(rootPath, "org.freedesktop.DBus.Peer.Ping")
		return c
	}
	kinitAt(t, store, "s0:c1", "1")
	one, other := at("s0:c1", aliceUID), at("s0:c2", aliceUID)
	root, otherRoot := at("s0:c1", 0), at("s0:c2", 0)
	models := []*model{snapshot(one), snapshot(other), snapshot(root), snapshot(otherRoot)}
	kinitAt(t, store, "s0:c1", "1:x")
	kinitAt(t, store, "s0:c2", "1")
	for i, want := range []int{3, 2, 4, 3} {
		models[i].agrees()
		if got := len(models[i].at(0)); got != want {
			t.Errorf("client %d sees %d objects, want %d", i, got, want)
		}
	}
	if a, b := one.received(), other.received(); len(a) == 0 || len(b) == 0 {
		t.Errorf("%d and %d signals", len(a), len(b))
	}
	path := must[godbus.ObjectPath](other, rootPath, "Manager.GetCache", "KCM:1")
	if err := other.call(path, "Cache.Destroy").Err; err != nil {
		t.Error(err)
	}
	for _, c := range []*tester{one, root} {
		if name, text := c.fails(path, "Cache.Destroy"); name != errUnknownObject || text != unknownObject.text {
			t.Errorf("what is of another level: %s %q", name, text)
		}
		if name, _ := c.fails(rootPath, "Manager.GetCache", uuidOf(path)); name != errUnknownObject {
			t.Errorf("what is of another level, by its UUID: %s", name)
		}
	}
	if got := must[[]godbus.ObjectPath](one, rootPath, "Manager.FindCaches", ""); len(got) != 2 {
		t.Errorf("%d caches are left, want 2", len(got))
	}
	level.Store("none")
	if name, text := bus.connectAs(t, aliceUID).fails(rootPath, managedObjects); name != errAccessDenied {
		t.Errorf("without a level: %s %q", name, text)
	}
}

// kinitAt does what kinit does, as a process of alice's at that level.
func kinitAt(t *testing.T, store *ccstore.Store, level, name string) {
	t.Helper()
	o := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: aliceUID, Level: level}
	err := store.Update(t.Context(), o, func(tx *ccstore.Tx) error {
		tx.Initialize(name, alice())
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestSessionIsOneUsers: in session mode nobody but the user is served, even if
// the bus should let others in.
func TestSessionIsOneUsers(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, uint32(os.Geteuid()), "x", alice())
	kinit(t, store, bobUID, "2", alice())
	startService(t, store, Config{Address: bus.address, Session: true})
	c := bus.connect(t)
	c.setScope("all")
	if got := must[objects](c, rootPath, managedObjects); len(got) != 2 {
		t.Errorf("%d objects, want only the user's own", len(got))
	}
	other := bus.connectAs(t, bobUID)
	for _, call := range []string{managedObjects, introspectCall, "org.freedesktop.DBus.Peer.Ping"} {
		if name, text := other.fails(rootPath, call); name != errAccessDenied {
			t.Errorf("%s by another user: %s %q", call, name, text)
		}
	}
}
