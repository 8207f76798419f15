package dbus

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
)

// TestOrder sends many calls at once and expects the answers in their order.
func TestOrder(t *testing.T) {
	bus := startBus(t, "system")
	startService(t, newStore(t), Config{Address: bus.address})
	c := bus.connect(t)
	var calls []*godbus.Call
	for range 100 { // 128 may wait
		calls = append(calls, c.conn.Object(BusName, rootPath).Go(propertiesGetAll, 0, make(chan *godbus.Call, 1), "org.kcmd.KCM1.Manager"))
	}
	var order []godbus.Sequence
	for _, call := range calls {
		if err := (<-call.Done).Err; err != nil {
			t.Fatal(err)
		}
		order = append(order, call.ResponseSequence)
	}
	if !slices.IsSorted(order) {
		t.Error("answers came out of order")
	}
}

// TestPolling: a subscriber that polls does not end the gathering, as long as its
// answer does not depend on what is gathered. A caller that is not subscribed gets
// the present state, though subscribers do not hear of it yet, and no signal.
func TestPolling(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c, other, stranger := bus.connect(t), bus.connect(t), bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	must[objects](other, rootPath, managedObjects)
	cache := pathOf(t, store, uid, "x")
	start := time.Now()
	const n = 200
	for i := range n {
		update(t, store, uid, func(tx *ccstore.Tx) {
			if err := tx.Store("x", credential(alice(), start.Add(time.Hour), "host", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
		if got := c.property(cache, "Cache", "State"); got != "valid" {
			t.Fatalf("State %v", got)
		}
		if got := stranger.property(cache, "Cache", "TicketCount"); got != uint32(i+2) {
			t.Fatalf("TicketCount %v for a stranger, want %d", got, i+2)
		}
	}
	windows := int(time.Since(start)/gathering) + 2
	if got := c.property(cache, "Cache", "TicketCount"); got != uint32(n+1) {
		t.Errorf("TicketCount %v after %d stores", got, n)
	}
	if got := len(c.received("TicketsAdded")); got == 0 || got > windows {
		t.Errorf("%d signals in %d windows", got, windows)
	}
	if got := stranger.received(); len(got) != 0 {
		t.Errorf("a stranger was sent %d signals", len(got))
	}
}
