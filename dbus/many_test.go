package dbus

import (
	"fmt"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestManyUsers has more users than can be looked into at once. Root can list
// them, for which none of their collections is loaded, and ask each.
func TestManyUsers(t *testing.T) {
	needRoot(t)
	const first, users = 10_000, maxLoaded + 10
	backend := memory.New()
	filler := ccstore.Open(backend, ccstore.Options{})
	for i := range uint32(users) {
		kinit(t, filler, first+i, fmt.Sprint(first+i), alice())
	}
	store := storetest.CheckedAtEnd(t, ccstore.Open(backend, ccstore.Options{}))
	bus := startBus(t, "system")
	startService(t, store, Config{Address: bus.address})
	root := bus.connect(t)

	listed := must[[]listedCollection](root, rootPath, "Manager.ListCollections")
	if len(listed) != 1+users || listed[0].UID != 0 || listed[users].UID != first+users-1 {
		t.Errorf("%d collections are listed, from %d to %d", len(listed), listed[0].UID, listed[len(listed)-1].UID)
	}
	nodes := must[string](root, userPath, introspectCall)
	if n := strings.Count(nodes, "<node name="); n != 1+users {
		t.Errorf("%d collections are introspected", n)
	}
	if n := store.Loaded(); n > 1 {
		t.Errorf("for a list %d collections were loaded", n)
	}
	for _, call := range []struct {
		name string
		args []any
	}{{managedObjects, nil}, {"Manager.FindCaches", []any{"alice"}}} {
		if name, text := root.fails(rootPath, call.name, call.args...); name != errLimitsExceeded || !strings.Contains(text, "at most 2048") {
			t.Errorf("%s: %s: %s", call.name, name, text)
		}
	}
	if n := store.Loaded(); n > 1 {
		t.Errorf("for nothing %d collections were loaded", n)
	}
	if got := root.property(collectionPath(first+5), "Collection", "TicketCount"); got != uint32(1) {
		t.Errorf("a user of many has %v tickets", got)
	}

	// Who has destroyed the last cache is not listed.
	update(t, store, first, func(tx *ccstore.Tx) {
		if err := tx.Destroy(fmt.Sprint(first)); err != nil {
			t.Error(err)
		}
	})
	if n := len(must[[]listedCollection](root, rootPath, "Manager.ListCollections")); n != users {
		t.Errorf("%d collections are listed after one went, want %d", n, users)
	}
}
