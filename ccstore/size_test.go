package ccstore_test

import (
	"context"
	"fmt"
	"math"
	"runtime"
	"strings"
	"testing"
	"time"
	"weak"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
)

// A discarding backend takes every commit and keeps nothing, so that what is
// measured is the store alone.
type discarding struct{ ccstore.Backend }

func (discarding) Load(context.Context, ccstore.Owner) (*ccstore.Record, error) {
	return new(ccstore.Record), nil
}
func (discarding) Commit(context.Context, *ccstore.Commit) error { return nil }
func (discarding) Close() error                                  { return nil }

// shapes are collections of n things that hold as much as they can for their size.
var shapes = []struct {
	name string
	n    int
	add  func(tx *ccstore.Tx, i int) error
}{
	{"tickets=small", 5000, func(tx *ccstore.Tx, i int) error {
		return tx.Store("x", &ccache.Credential{Server: ccache.Principal{Components: []string{fmt.Sprint(i)}}})
	}},
	{"tickets=usual", 5000, func(tx *ccstore.Tx, i int) error {
		cred := host(fmt.Sprintf("host/%d.example.com", i))
		cred.Ticket = make([]byte, 1000)
		return tx.Store("x", cred)
	}},
	{"tickets=authdata", 1000, func(tx *ccstore.Tx, i int) error {
		cred := host(fmt.Sprint(i))
		cred.AuthData = make([]ccache.AuthData, 500)
		return tx.Store("x", cred)
	}},
	{"tickets=components", 1000, func(tx *ccstore.Tx, i int) error {
		cred := host(fmt.Sprint(i))
		cred.Server.Components = strings.Split(strings.Repeat("a", 64), "")
		cred.Key.Type = int16(i)
		return tx.Store("x", cred)
	}},
	{"configuration", 5000, func(tx *ccstore.Tx, i int) error {
		return tx.Store("x", storetest.Config(alice, fmt.Sprint(i), "v"))
	}},
	{"caches=empty", 2000, func(tx *ccstore.Tx, i int) error {
		tx.Initialize(fmt.Sprint(i), ccache.Principal{})
		return nil
	}},
	{"caches=one ticket", 2000, func(tx *ccstore.Tx, i int) error {
		name := fmt.Sprint(i)
		tx.Initialize(name, storetest.Principal(alice))
		return tx.Store(name, storetest.TGT(alice))
	}},
	{"caches=fat", 500, func(tx *ccstore.Tx, i int) error {
		tx.Initialize(fmt.Sprint(i), ccache.Principal{Realm: strings.Repeat("R", 3_000+i)})
		return nil
	}},
}

// heldBytes returns the live heap that a collection takes, and what it says. It
// measures what goes with the collection: what comes with it is less than it takes
// if garbage of earlier tests goes meanwhile.
func heldBytes(tb testing.TB, n int, add func(tx *ccstore.Tx, i int) error) (held, said int64) {
	tb.Helper()
	c := build(tb, n, add)
	said = c.Size()
	with := liveHeap()
	alive := weak.Make(c)
	runtime.KeepAlive(c)
	// A goroutine of the store that is not scheduled may hold it a while longer.
	for deadline := time.Now().Add(time.Minute); alive.Value() != nil; runtime.GC() {
		if time.Now().After(deadline) {
			tb.Fatal("the collection is not collected")
		}
		time.Sleep(time.Millisecond)
	}
	return with - liveHeap(), said
}

// build returns a collection of n things.
func build(tb testing.TB, n int, add func(tx *ccstore.Tx, i int) error) *ccstore.Collection {
	tb.Helper()
	s := ccstore.Open(discarding{}, ccstore.Options{})
	defer s.Close()
	for first := 0; first < n; first += 100 { // in turns, as clients do
		err := s.Update(tb.Context(), owner, func(tx *ccstore.Tx) error {
			if _, err := tx.Cache("x"); err != nil {
				tx.Initialize("x", storetest.Principal(alice))
			}
			for i := range 100 {
				if err := add(tx, first+i); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
	c, err := s.Snapshot(tb.Context(), owner)
	if err != nil {
		tb.Fatal(err)
	}
	return c
}

// liveHeap returns the live heap. What a finalizer or a pool holds goes only with a
// later collection, and finalizers run when a processor is free: it waits until no
// collection finds less.
func liveHeap() int64 {
	least := int64(math.MaxInt64)
	for same := 0; same < 3; same++ {
		runtime.GC()
		ran := make(chan struct{})
		runtime.SetFinalizer(&[16]byte{}, func(*[16]byte) { close(ran) }) // behind all others
		runtime.GC()
		<-ran
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		if n := int64(m.HeapAlloc); n < least-4<<10 {
			least, same = n, 0
		}
	}
	return least
}

// TestSizeIsHeld fills collections in the ways in which the least that a client
// sends takes the most memory: Size says about what they take. What earlier tests left
// in goroutines that did not yet run may go during a measurement: then the next one
// is right.
func TestSizeIsHeld(t *testing.T) {
	const attempts = 5
	for _, shape := range shapes {
		for attempt := range attempts {
			held, said := heldBytes(t, shape.n, shape.add)
			if ratio := float64(held) / float64(said); ratio >= 0.7 && ratio <= 1.2 {
				break
			}
			if attempt == attempts-1 {
				t.Errorf("%s: %d bytes are held, Size is %d", shape.name, held, said)
			}
		}
	}
}

// BenchmarkHeld measures the live heap of each ticket or cache.
func BenchmarkHeld(b *testing.B) {
	for _, shape := range shapes {
		b.Run(shape.name, func(b *testing.B) {
			for b.Loop() {
				held, said := heldBytes(b, shape.n, shape.add)
				b.ReportMetric(float64(held)/float64(shape.n), "held-B")
				b.ReportMetric(float64(said)/float64(shape.n), "size-B")
			}
			b.ReportMetric(0, "ns/op")
		})
	}
}
