package dbus

import (
	"context"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
)

// TestSignInWanted tells the owner of a collection, by both paths, that one of his
// programs looks for a ticket, and tells nobody else, not even root.
func TestSignInWanted(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	startService(t, store, Config{Address: bus.address})
	self := godbus.ObjectPath(userPath + "/self")
	owner, root := bus.connectAs(t, aliceUID), bus.connect(t)
	snapshot(root)
	if err := owner.call(rootPath, "Manager.Subscribe", map[string]godbus.Variant{"collection": godbus.MakeVariant(self)}).Err; err != nil {
		t.Fatal(err)
	}
	wanted := ccstore.Notice{Kind: ccstore.SignInWanted, PID: 7, Server: "HTTP/a\x1b@B", Want: ccstore.TGTExpired}
	err := store.Announce(context.Background(), ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: aliceUID}, func(*ccstore.Collection) []ccstore.Notice { return []ccstore.Notice{wanted} })
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the signals", func() bool { return len(owner.received("SignInWanted")) == 2 })
	for i, path := range []string{string(collectionPath(aliceUID)), string(self)} {
		s := owner.received("SignInWanted")[i]
		if diff := cmp.Diff([]any{path, uint32(7), `HTTP/a\x1B@B`, "expired"}, append([]any{string(s.Path)}, s.Body...)); diff != "" {
			t.Errorf("the signal (-want +got):\n%s", diff)
		}
	}
	kinit(t, store, 0, "0", alice())
	kinit(t, store, aliceUID, "1", alice())
	eventually(t, "later signals", func() bool { return len(root.received("InterfacesAdded")) >= 2 })
	if list := root.received("SignInWanted"); len(list) != 0 {
		t.Errorf("root was told: %v", list)
	}
}
