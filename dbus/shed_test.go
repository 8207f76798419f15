package dbus

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// TestShed has the collections of subscribers exceed the memory for collections: the
// user with the largest is subscribed no more, others are. Root comes last.
func TestShed(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	budgets := budget.Default()
	budgets.Collections.Whole = 4 << 20
	startService(t, store, Config{Address: bus.address, Budgets: budgets})
	fill := func(uid uint32, tickets int) {
		var list []*ccache.Credential
		for i := range tickets {
			list = append(list, credential(alice(), time.Now().Add(time.Hour), fmt.Sprint("host/", i, strings.Repeat("x", 900))))
		}
		update(t, store, uid, func(tx *ccstore.Tx) { tx.Replace(fmt.Sprint(uid), alice(), 0, list) })
	}
	fill(aliceUID, 3)
	fill(bobUID, 900)

	root, a, b := bus.connect(t), bus.connectAs(t, aliceUID), bus.connectAs(t, bobUID)
	subscribed := func(c *tester) bool { return c.property(rootPath, "Manager", "Subscribed").(bool) }
	for _, c := range []*tester{a, b} {
		must[objects](c, rootPath, managedObjects)
		if !subscribed(c) {
			t.Fatal("no subscription within the limit")
		}
	}
	fill(bobUID, 2000)
	eventually(t, "the user with much is not subscribed", func() bool { return !subscribed(b) })
	kinit(t, store, aliceUID, "1:new", alice())
	a.awaitSignal("InterfacesAdded")
	if !subscribed(a) {
		t.Error("a user with little is not subscribed any more")
	}

	fill(bobUID, 1)
	must[objects](root, rootPath, managedObjects)
	fill(bobUID, 100)
	root.awaitSignal("TicketsAdded")
	fill(bobUID, 2000)
	eventually(t, "root does not have all collections in memory", func() bool { return !subscribed(root) })
}
