package dbus

import (
	"os"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
)

// Users of tests that need several. A bus takes only those that the machine knows.
const (
	aliceUID = 1
	bobUID   = 2
)

// TestForeignIsAbsent holds the rule that what a caller may not see does not
// exist for it: no call, property or error tells it from what is made up.
func TestForeignIsAbsent(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	startService(t, store, Config{Address: bus.address})
	bob := bus.connectAs(t, bobUID)
	cache := pathOf(t, store, aliceUID, "1")
	none := map[string]godbus.Variant{}
	madeUp := func(path godbus.ObjectPath) godbus.ObjectPath {
		return godbus.ObjectPath(strings.Replace(string(path), "/user/1", "/user/4000", 1))
	}
	for _, path := range []godbus.ObjectPath{collectionPath(aliceUID), collectionPath(aliceUID) + "/cache", cache, cache + "/no"} {
		for _, call := range []struct {
			name string
			args []any
		}{
			{introspectCall, nil},
			{propertiesGet, []any{"org.kcmd.KCM1.Cache", "Name"}},
			{propertiesGet, []any{"org.kcmd.KCM1.Cache", "Nothing"}},
			{propertiesGetAll, []any{"org.kcmd.KCM1.Collection"}},
			{"org.freedesktop.DBus.Properties.Set", []any{"a.b", "c", godbus.MakeVariant(1)}},
			{"Cache.ListTickets", []any{none}},
			{"Cache.ListTickets", nil},
			{"Cache.Nothing", nil},
			{"no.such.Interface", nil},
			{managedObjects, nil},
		} {
			name, text := bob.fails(path, call.name, call.args...)
			name2, text2 := bob.fails(madeUp(path), call.name, call.args...)
			if name != errUnknownObject || name != name2 || text != text2 {
				t.Errorf("%s on %s: %s %q, made up %s %q", call.name, path, name, text, name2, text2)
			}
		}
	}
	for _, pair := range [][2]struct {
		call string
		args []any
	}{
		{{"Manager.GetCollection", []any{uint32(aliceUID)}}, {"Manager.GetCollection", []any{uint32(4000)}}},
		{{"Manager.GetCache", []any{"KCM:1"}}, {"Manager.GetCache", []any{"KCM:4000"}}},
		{{"Manager.GetCache", []any{uuidOf(cache)}}, {"Manager.GetCache", []any{"00000000-0000-4000-8000-000000000000"}}},
		{{"Manager.Subscribe", []any{onlyCollection(collectionPath(aliceUID))}}, {"Manager.Subscribe", []any{onlyCollection(collectionPath(4000))}}},
		// Of a process of root's, and of none.
		{{"Manager.SubscribeProcess", []any{uint32(os.Getppid()), none}}, {"Manager.SubscribeProcess", []any{uint32(4194304), none}}},
	} {
		name, text := bob.fails(rootPath, pair[0].call, pair[0].args...)
		name2, text2 := bob.fails(rootPath, pair[1].call, pair[1].args...)
		if name != name2 || text != text2 {
			t.Errorf("%s%v: %s %q, made up %s %q", pair[0].call, pair[0].args, name, text, name2, text2)
		}
	}
	own := string(collectionPath(bobUID))
	if diff := cmp.Diff([]string{"/org/kcmd/KCM1/user", own}, walk(bob, userPath)); diff != "" {
		t.Errorf("tree of another user (-want +got):\n%s", diff)
	}
	if got := must[[]godbus.ObjectPath](bob, rootPath, "Manager.FindCaches", ""); len(got) != 0 {
		t.Errorf("FindCaches of another user: %v", got)
	}
	got := must[objects](bob, rootPath, managedObjects)
	if len(got) != 1 || got[godbus.ObjectPath(own)] == nil {
		t.Errorf("objects of another user: %v", got)
	}
}

func uuidOf(cache godbus.ObjectPath) string {
	return string(cache[strings.LastIndexByte(string(cache), '/')+1:])
}

func onlyCollection(path godbus.ObjectPath) map[string]godbus.Variant {
	return variants(map[string]any{"collection": path})
}

// TestSignalsReachTheirOwner has a user, another one and root listen with all
// they have to what happens to the first.
func TestSignalsReachTheirOwner(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	startService(t, store, Config{Address: bus.address})
	owner, bob, root := bus.connectAs(t, aliceUID), bus.connectAs(t, bobUID), bus.connect(t)
	quiet := bus.connectAs(t, aliceUID)
	for _, c := range []*tester{owner, bob, root} {
		if err := c.conn.AddMatchSignal(godbus.WithMatchInterface("org.kcmd.KCM1.Cache")); err != nil {
			t.Fatal(err)
		}
		c.call(rootPath, "org.freedesktop.DBus.AddMatch", "type='signal'")
		must[objects](c, rootPath, managedObjects)
		if err := c.call(rootPath, "Manager.Subscribe", map[string]godbus.Variant{}).Err; err != nil {
			t.Fatal(err)
		}
	}
	if quiet.property(rootPath, "Manager", "Subscribed") != false {
		t.Error("a Get subscribed its caller")
	}
	kinit(t, store, aliceUID, "1", alice())
	owner.awaitSignal("InterfacesAdded")
	root.awaitSignal("TicketsAdded")
	update(t, store, aliceUID, func(tx *ccstore.Tx) {
		if err := tx.Destroy("1"); err != nil {
			t.Error(err)
		}
	})
	owner.awaitSignal("InterfacesRemoved")
	eventually(t, "root is told that cache and collection go", func() bool { return len(root.received("InterfacesRemoved")) == 2 })
	if got := bob.received(); len(got) != 0 {
		t.Errorf("another user was sent %d signals: %v", len(got), got[0])
	}
	if got := quiet.received(); len(got) != 0 {
		t.Errorf("a connection that did not subscribe was sent %d signals", len(got))
	}
	// For root the collection came, for its owner it changed.
	if got := root.received("InterfacesAdded"); len(got) != 2 || got[0].Body[0] != collectionPath(aliceUID) {
		t.Errorf("root was told of %d objects", len(got))
	}
	if got := owner.received("InterfacesAdded"); len(got) != 1 {
		t.Errorf("the owner was told of %d objects", len(got))
	}
}

func TestRootSeesAll(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	kinit(t, store, bobUID, "2:x", alice())
	startService(t, store, Config{Address: bus.address})
	root := bus.connect(t)
	want := []listedCollection{{0, collectionPath(0)}, {aliceUID, collectionPath(aliceUID)}, {bobUID, collectionPath(bobUID)}}
	if diff := cmp.Diff(want, must[[]listedCollection](root, rootPath, "Manager.ListCollections")); diff != "" {
		t.Errorf("ListCollections (-want +got):\n%s", diff)
	}
	cache := pathOf(t, store, bobUID, "2:x")
	for _, name := range []string{"KCM:2:x", "2:x", uuidOf(cache)} {
		if got := must[godbus.ObjectPath](root, rootPath, "Manager.GetCache", name); got != cache {
			t.Errorf("GetCache(%q) = %s, want %s", name, got, cache)
		}
	}
	// Default caches first, the one that ends later before the other.
	kinit(t, store, bobUID, "2", alice())
	time.Sleep(2 * gathering)
	got := must[[]godbus.ObjectPath](root, rootPath, "Manager.FindCaches", "alice")
	if len(got) != 3 || got[2] != cache {
		t.Errorf("FindCaches: %v", got)
	}
}
