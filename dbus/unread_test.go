package dbus

import (
	"encoding/binary"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// Attacks of connections that do not read, of bob.

// bobsCache is a cache of bob's with more tickets than fit in a page.
const bobsCache = "2:many"

// fillBob replaces bob's tickets by others, which differ with n.
func fillBob(t *testing.T, store *ccstore.Store, n int) {
	long := ccache.Principal{NameType: 1, Realm: "EXAMPLE.COM", Components: []string{strings.Repeat("x", 900)}}
	var tickets []*ccache.Credential
	for i := range 512 {
		tickets = append(tickets, credential(long, time.Now().Add(time.Hour), fmt.Sprint(n, "-", i), long.Components[0]))
	}
	update(t, store, bobUID, func(tx *ccstore.Tx) { tx.Replace(bobsCache, alice(), 0, tickets) })
}

// witness runs an attack, and returns how long a call of alice's took at most
// meanwhile and for a second after.
func witness(b *testBus, t *testing.T, attack func()) (worst time.Duration) {
	t.Helper()
	c := b.connectAs(t, aliceUID)
	defer c.conn.Close()
	done := make(chan struct{})
	go func() {
		defer close(done)
		attack()
	}()
	for ended := false; !ended; {
		select {
		case <-done:
			ended = true
		case <-time.After(5 * time.Millisecond):
		}
		start := time.Now()
		if err := c.call(rootPath, "org.freedesktop.DBus.Peer.Ping").Err; err != nil {
			t.Error("no answer to another user: ", err)
			return time.Since(start)
		}
		if got := must[objects](c, rootPath, managedObjects); len(got) != 2 {
			t.Errorf("another user sees %d objects", len(got))
		}
		worst = max(worst, time.Since(start)/2)
	}
	t.Logf("another user waited for %v at most", worst)
	return worst
}

// unreadAnswers has 60 connections ask for 128 pages of tickets each, one after
// the other, and read nothing: 240 MB, more than a bus keeps for a service.
func (v *victim) unreadAnswers(t *testing.T, b *testBus, to string) {
	c := b.connectAs(t, bobUID)
	defer c.conn.Close()
	cache := must[godbus.ObjectPath](c, rootPath, "Manager.GetCache", bobsCache)
	listTickets := methodCall(to, "org.kcmd.KCM1.Cache", "ListTickets", "a{sv}")
	listTickets.path, listTickets.body = string(cache), make([]byte, 8)
	var attackers []*attacker
	for range 60 {
		a := b.connectRaw(t, bobUID)
		defer a.conn.Close()
		attackers = append(attackers, a)
	}
	for range 128 {
		for _, a := range attackers {
			a.send(listTickets)
		}
		time.Sleep(10 * time.Millisecond) // as if the answer had been read
	}
	time.Sleep(8 * time.Second)
	// Who reads is served all the same, once the others are gone.
	for _, a := range attackers {
		a.conn.Close()
	}
	must[objects](c, rootPath, managedObjects)
}

// unreadSignals has 64 subscribers read nothing while all tickets are replaced 25
// times: 1 GB.
func (v *victim) unreadSignals(t *testing.T, b *testBus, to string) {
	for range maxSubscriptions {
		a := b.connectRaw(t, bobUID)
		defer a.conn.Close()
		a.send(methodCall(to, "org.freedesktop.DBus.ObjectManager", "GetManagedObjects", ""))
	}
	for n := range 25 {
		if _, err := fmt.Fprintln(v.in, n+1); err != nil {
			t.Error(err)
		}
		time.Sleep(gathering + gathering/10)
	}
	time.Sleep(5 * time.Second)
}

// connectionsOfProcess subscribes a process with 200 connections, many times at
// once.
func connectionsOfProcess(t *testing.T, b *testBus, to string) {
	var attackers []*attacker
	for range 200 {
		a := b.connectRaw(t, bobUID)
		defer a.conn.Close()
		attackers = append(attackers, a)
	}
	p := methodCall(to, "org.kcmd.KCM1.Manager", "SubscribeProcess", "ua{sv}")
	f := &filler{order: binary.LittleEndian}
	f.uint32(uint32(os.Getpid()))
	f.uint32(0)
	f.align(8)
	p.body = f.b
	for range 20 {
		for _, a := range attackers[:10] {
			a.send(p)
		}
	}
	for _, a := range attackers[:10] {
		if got := len(a.answers(20)); got != 20 {
			t.Errorf("%d answers of 20", got)
		}
	}
}

// TestReaders: a client that answers Pings gets as much as it wants. One that
// reads, and does not answer, gets an error at the limit, and may connect again.
func TestReaders(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for 10 seconds")
	}
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	s := Config{Address: bus.address, Budgets: budget.Default()}
	s.Budgets.Unread = budget.Bounds{Account: 1 << 20, Whole: 4 << 20}
	startService(t, store, s)
	c := bus.connect(t)
	size := 0
	for total := 0; total < 4<<20; total += size {
		size = len(must[string](c, rootPath, introspectCall))
	}
	introspect := methodCall(BusName, "org.freedesktop.DBus.Introspectable", "Introspect", "")
	for range 2 {
		a := bus.connectRaw(t, uid)
		answered := 0
		for got := ""; got == ""; answered++ {
			a.send(introspect)
			got = a.answers(1)[0]
			if got != "" && got != errLimitsExceeded {
				t.Fatal(got)
			}
		}
		if got := answered * size; got < 512<<10 || got > 2<<20 {
			t.Errorf("%d bytes of answers before the limit of 1 MiB", got)
		}
		a.conn.Close()
	}
	must[string](c, rootPath, introspectCall)
}

// TestNoPing: where the policy of the bus does not allow Pings, as one of before,
// the service trusts clients to read.
func TestNoPing(t *testing.T) {
	bus := startBusWith(t, "dbus-daemon", debianPolicy+`
  <policy context="default">
    <allow own="org.kcmd.KCM1"/>
    <allow send_destination="org.kcmd.KCM1"/>
  </policy>`)
	s := Config{Address: bus.address, Budgets: budget.Default()}
	s.Budgets.Unread = budget.Bounds{Account: 1 << 20, Whole: 4 << 20}
	startService(t, newStore(t), s)
	c := bus.connect(t)
	for total := 0; total < 4<<20; {
		total += len(must[string](c, rootPath, introspectCall))
	}
}
