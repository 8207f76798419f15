package dbus

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/kcmserver"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
)

// quiet is for services whose log would be measured too.
var quiet = slog.New(slog.NewTextHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelError}))

// BenchmarkGetManagedObjects asks for a collection of 100 caches.
func BenchmarkGetManagedObjects(b *testing.B) {
	bus := startBus(b, "system")
	store := newStore(b)
	uid := uint32(os.Geteuid())
	for i := range 100 {
		kinit(b, store, uid, fmt.Sprint(uid, ":", i), alice())
	}
	startService(b, store, Config{Address: bus.address, Logger: quiet})
	c := bus.connect(b)
	for b.Loop() {
		if got := must[objects](c, rootPath, managedObjects); len(got) != 101 {
			b.Fatalf("%d objects", len(got))
		}
	}
}

// BenchmarkListTickets asks for a cache of 1,000 tickets, page by page.
func BenchmarkListTickets(b *testing.B) {
	bus := startBus(b, "system")
	store := newStore(b)
	uid := uint32(os.Geteuid())
	kinit(b, store, uid, "x", alice())
	update(b, store, uid, func(tx *ccstore.Tx) {
		for i := range 999 {
			if err := tx.Store("x", credential(alice(), time.Now().Add(time.Hour), "host", fmt.Sprint(i))); err != nil {
				b.Error(err)
			}
		}
	})
	startService(b, store, Config{Address: bus.address, Logger: quiet})
	c := bus.connect(b)
	cache := pathOf(b, store, uid, "x")
	for b.Loop() {
		if list := allTickets(c, cache); len(list) != 1000 {
			b.Fatalf("%d tickets", len(list))
		}
	}
}

// BenchmarkStoreToSignal measures how long after the answer to a store its
// signal is there; gathering is a part of it.
func BenchmarkStoreToSignal(b *testing.B) {
	bus := startBus(b, "system")
	store := newStore(b)
	uid := uint32(os.Geteuid())
	kinit(b, store, uid, "x", alice())
	startService(b, store, Config{Address: bus.address, Logger: quiet})
	c := bus.connect(b)
	must[objects](c, rootPath, managedObjects)
	var delays []time.Duration
	for i := 0; b.Loop(); i++ {
		c.forget()
		update(b, store, uid, func(tx *ccstore.Tx) {
			_ = tx.Store("x", credential(alice(), time.Now().Add(time.Hour), "host", fmt.Sprint(i)))
		})
		answered := time.Now()
		for len(c.received("TicketsAdded")) == 0 {
			time.Sleep(50 * time.Microsecond)
		}
		delays = append(delays, time.Since(answered))
	}
	report(b, delays)
}

// BenchmarkOwnChange measures the time from a call that changes a collection to
// its answer. The caller is subscribed, so that the signals of the change come
// before the answer. The store is on disk.
func BenchmarkOwnChange(b *testing.B) {
	uid := uint32(os.Geteuid())
	cache := func(c *tester, store *ccstore.Store, name string) godbus.ObjectPath {
		update(c.t, store, uid, func(tx *ccstore.Tx) { tx.Replace(name, alice(), 0, nil) })
		must[objects](c, rootPath, managedObjects) // announces it
		return pathOf(c.t, store, uid, name)
	}
	for name, change := range map[string]func(c *tester, one, other godbus.ObjectPath) *godbus.Call{
		"SwitchTo": func(c *tester, one, _ godbus.ObjectPath) *godbus.Call { return c.call(one, "Cache.SwitchTo") },
		"SetDefault": func(c *tester, _, other godbus.ObjectPath) *godbus.Call {
			return c.call(collectionPath(uid), "Collection.SetDefault", other)
		},
		"Destroy": func(c *tester, one, _ godbus.ObjectPath) *godbus.Call { return c.call(one, "Cache.Destroy") },
	} {
		b.Run(name, func(b *testing.B) {
			bus, store := startBus(b, "system"), diskStore(b)
			startService(b, store, Config{Address: bus.address, Logger: quiet})
			c := bus.connect(b)
			var delays []time.Duration
			for b.Loop() {
				b.StopTimer()
				one, other := cache(c, store, "one"), cache(c, store, "other")
				c.forget()
				b.StartTimer()
				start := time.Now()
				if err := change(c, one, other).Err; err != nil {
					b.Fatal(err)
				}
				delays = append(delays, time.Since(start))
			}
			report(b, delays)
		})
	}
}

// report reports the median and the longest of delays.
func report(b *testing.B, delays []time.Duration) {
	slices.Sort(delays)
	b.ReportMetric(delays[len(delays)/2].Seconds()*1000, "median-ms")
	b.ReportMetric(delays[len(delays)-1].Seconds()*1000, "longest-ms")
}

// BenchmarkStores has a KCM client store 1,000 tickets, each in a request of its
// own, without a bus and on one with a subscriber, by turns. It reports how much
// longer it takes with the bus.
func BenchmarkStores(b *testing.B) {
	bus := startBus(b, "system")
	var off, on time.Duration
	for i := 0; b.Loop(); i++ {
		off += storeThousand(b, nil, i)
		on += storeThousand(b, bus, i)
	}
	b.ReportMetric(off.Seconds()*1000/float64(b.N), "ms-without-bus")
	b.ReportMetric(on.Seconds()*1000/float64(b.N), "ms-with-bus")
	b.ReportMetric(on.Seconds()/off.Seconds(), "ratio")
}

// storeThousand returns how long 1,000 stores take on a new server.
func storeThousand(b *testing.B, bus *testBus, round int) time.Duration {
	b.Helper()
	store := diskStore(b)
	defer store.Close()
	uid := uint32(os.Geteuid())
	if bus != nil {
		s := newService(b, store, Config{Address: bus.address, Logger: quiet})
		defer run(b, s)()
		wait(b, s.Ready(), "the name is owned")
		c := bus.connect(b)
		defer c.conn.Close()
		must[objects](c, rootPath, managedObjects)
	}
	kcm := serveKCM(b, store, uid)
	name := fmt.Sprint(uid)
	if err := kcm.Initialize(name, alice()); err != nil {
		b.Fatal(err)
	}
	start := time.Now()
	for i := range 1000 {
		cred := credential(alice(), start.Add(time.Hour), "host", fmt.Sprint(round, i))
		if err := kcm.Store(name, cred); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start)
}

// diskStore returns a store on disk.
func diskStore(b *testing.B) *ccstore.Store {
	b.Helper()
	dir := b.TempDir()
	if err := os.Chmod(dir, 0o700); err != nil {
		b.Fatal(err)
	}
	backend, err := sqlite.Open(b.Context(), filepath.Join(dir, "kcmd.db"), sqlite.Options{})
	if err != nil {
		b.Fatal(err)
	}
	store := ccstore.Open(backend, ccstore.Options{})
	b.Cleanup(func() { store.Close() })
	return store
}

// serveKCM returns a client of a KCM server over store.
func serveKCM(b *testing.B, store *ccstore.Store, uid uint32) *kcmclient.Client {
	b.Helper()
	near, far := net.Pipe()
	server := kcmserver.New(store, kcmserver.Options{Logger: quiet})
	go func() {
		_ = server.ServeConn(b.Context(), far, kcmserver.Peer{UID: uid, PID: 1, Namespace: ccstore.DefaultNamespace})
	}()
	b.Cleanup(func() { near.Close() })
	return kcmclient.New(near)
}
