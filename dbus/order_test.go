package dbus

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
)

// TestOwnChange: a subscriber that changes something is answered after the
// signals, and without waiting for the end of the gathering.
func TestOwnChange(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	kinit(t, store, uid, "y", alice())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	must[objects](c, rootPath, managedObjects)
	x, y := pathOf(t, store, uid, "x"), pathOf(t, store, uid, "y")
	own := collectionPath(uid)
	var took []time.Duration
	for range 10 {
		for _, change := range []*struct {
			path godbus.ObjectPath
			name string
			args []any
		}{{x, "Cache.SwitchTo", nil}, {own, "Collection.SetDefault", []any{y}}} {
			c.forget()
			start := time.Now()
			call := c.call(change.path, change.name, change.args...)
			took = append(took, time.Since(start))
			signals := c.received("PropertiesChanged")
			if call.Err != nil || len(signals) == 0 || signals[0].Sequence > call.ResponseSequence {
				t.Fatalf("%s: %v, %d signals before the answer", change.name, call.Err, len(signals))
			}
		}
	}
	// A busy machine makes some of them slow, but not all.
	if fastest := slices.Min(took); fastest > gathering/4 {
		t.Errorf("the fastest of %d took %v", len(took), fastest)
	}
}

// TestPolling: a subscriber that polls does not end the gathering, as long as its
// answer does not depend on what is gathered.
func TestPolling(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c, other := bus.connect(t), bus.connect(t)
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
	}
	windows := int(time.Since(start)/gathering) + 2
	if got := c.property(cache, "Cache", "TicketCount"); got != uint32(n+1) {
		t.Errorf("TicketCount %v after %d stores", got, n)
	}
	if got := len(c.received("TicketsAdded")); got == 0 || got > windows {
		t.Errorf("%d signals in %d windows", got, windows)
	}
}

// TestLatestForStrangers: a caller that is not subscribed gets the present state,
// though others do not hear of it yet.
func TestLatestForStrangers(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	subscriber, stranger := bus.connect(t), bus.connect(t)
	must[objects](subscriber, rootPath, managedObjects)
	cache := pathOf(t, store, uid, "x")
	for i := range 20 {
		update(t, store, uid, func(tx *ccstore.Tx) {
			if err := tx.Store("x", credential(alice(), time.Now().Add(time.Hour), "host", fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
		if got := stranger.property(cache, "Cache", "TicketCount"); got != uint32(i+2) {
			t.Fatalf("TicketCount %v, want %d", got, i+2)
		}
	}
	if got := stranger.received(); len(got) != 0 {
		t.Errorf("a stranger was sent %d signals", len(got))
	}
	m := snapshot(subscriber)
	m.agrees()
}

// TestAlias: a proxy of an object below /user/self hears of its changes, on both
// of its paths; nobody else does on that.
func TestAlias(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	kinit(t, store, uid, "y", alice())
	startService(t, store, Config{Address: bus.address})
	c, other := bus.connect(t), bus.connect(t)
	must[objects](other, rootPath, managedObjects)
	must[map[string]godbus.Variant](c, userPath+"/self", propertiesGetAll, "org.kcmd.KCM1.Collection")
	cache := pathOf(t, store, uid, "x")
	if err := c.call(cache, "Cache.SwitchTo").Err; err != nil {
		t.Fatal(err)
	}
	if uid == 0 { // root hears of another's collection, which has no alias
		kinit(t, store, aliceUID, "1", alice())
		kinit(t, store, aliceUID, "1:x", alice())
		if err := c.call(pathOf(t, store, aliceUID, "1:x"), "Cache.SwitchTo").Err; err != nil {
			t.Fatal(err)
		}
	}
	byPath := make(map[godbus.ObjectPath]int)
	for _, s := range c.received("PropertiesChanged") {
		byPath[s.Path]++
	}
	self := func(path godbus.ObjectPath) godbus.ObjectPath {
		return godbus.ObjectPath(strings.Replace(string(path), string(collectionPath(uid)), userPath+"/self", 1))
	}
	for _, path := range []godbus.ObjectPath{collectionPath(uid), cache} {
		if byPath[path] == 0 || byPath[path] != byPath[self(path)] {
			t.Errorf("%d signals of %s, %d of %s", byPath[path], path, byPath[self(path)], self(path))
		}
	}
	must[objects](other, rootPath, managedObjects)
	for _, s := range other.received() {
		if strings.HasPrefix(string(s.Path), userPath+"/self") {
			t.Errorf("%s of %s for a subscriber that does not use the alias", s.Name, s.Path)
		}
	}
}

// TestIntegerOptions: an option that is a number takes any integer type: which
// one a library sends is up to the library.
func TestIntegerOptions(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	cache := pathOf(t, store, uid, "x")
	for _, one := range []any{byte(1), int16(1), uint16(1), int32(1), uint32(1), int64(1), uint64(1)} {
		if list, total := listOf(c, cache, map[string]any{"offset": one}); len(list) != 0 || total != 1 {
			t.Errorf("offset %T: %d tickets of %d", one, len(list), total)
		}
		if list, _ := listOf(c, cache, map[string]any{"limit": one}); len(list) != 1 {
			t.Errorf("limit %T: %d tickets", one, len(list))
		}
	}
	for _, test := range []struct {
		value any
		text  string
	}{
		{int32(-1), `option "limit" is -1; allowed: 0 to 4294967295`},
		{int64(1 << 32), `option "limit" is 4294967296; allowed: 0 to 4294967295`},
		{^uint64(0), `option "limit" is 18446744073709551615; allowed: 0 to 4294967295`},
		{1.0, `option "limit" has type d; allowed: offset (u), limit (u), server (s), state (s), tgt-only (b)`},
		{true, `option "limit" has type b; allowed: offset (u), limit (u), server (s), state (s), tgt-only (b)`},
	} {
		if name, text := c.fails(cache, "Cache.ListTickets", variants(map[string]any{"limit": test.value})); name != errInvalidArgs || text != test.text {
			t.Errorf("limit %v: %s %q, want %q", test.value, name, text, test.text)
		}
	}
}
