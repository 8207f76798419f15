package ccstore_test

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
)

// A workload is work on n tickets, which must take time in proportion to n.
type workload struct {
	name   string
	limits func(n int) ccstore.Limits
	setUp  func(n int) func(*ccstore.Tx) error
	work   func(s *ccstore.Store, n int) error
}

// variant returns a ticket for one server that replaces no other variant.
func variant(i int, cred *ccache.Credential) *ccache.Credential {
	cred.SecondTicket = fmt.Append(nil, i)
	return cred
}

func tickets(n int, ticket func(i int) *ccache.Credential) []*ccache.Credential {
	list := make([]*ccache.Credential, n)
	for i := range list {
		list[i] = ticket(i)
	}
	return list
}

// service returns a ticket with a server, and an end, of its own.
func service(i int) *ccache.Credential { return ends(host(fmt.Sprint("host/", i)), int64(1_000_000-i)) }

func fillServices(n int) func(*ccstore.Tx) error {
	return fill("x", append(tickets(n, service), storetest.TGT(alice))...)
}

func fillTGTs(n int) func(*ccstore.Tx) error {
	return fill("x", tickets(n, func(i int) *ccache.Credential { return variant(i, storetest.TGT(alice)) })...)
}

// storeEach stores n tickets with an update for each.
func storeEach(s *ccstore.Store, n int) error {
	for i := range n {
		if err := s.Update(context.Background(), owner, store("x", service(n+i))); err != nil {
			return err
		}
	}
	return nil
}

func oneUpdate(f func(n int) func(*ccstore.Tx) error) func(*ccstore.Store, int) error {
	return func(s *ccstore.Store, n int) error { return s.Update(context.Background(), owner, f(n)) }
}

var workloads = []workload{
	{
		name: "batch of STOREs with a fat principal",
		setUp: func(int) func(*ccstore.Tx) error {
			return func(tx *ccstore.Tx) error {
				tx.Initialize("x", ccache.Principal{Realm: strings.Repeat("R", 8<<10)})
				return nil
			}
		},
		work: storeTogether,
	},
	{
		name: "REPLACE of tickets for one server",
		work: oneUpdate(func(n int) func(*ccstore.Tx) error {
			return fill("x", tickets(n, func(i int) *ccache.Credential { return variant(i, host("x")) })...)
		}),
	},
	{
		name:  "REMOVE_CRED of all, with descending ends",
		setUp: fillServices,
		work: oneUpdate(func(int) func(*ccstore.Tx) error {
			return func(tx *ccstore.Tx) error { _, err := tx.Remove("x", &ccache.Match{}); return err }
		}),
	},
	{
		name:  "REMOVE_CRED of none, with a match that no index serves",
		setUp: fillServices,
		work: oneUpdate(func(int) func(*ccstore.Tx) error {
			return func(tx *ccstore.Tx) error {
				_, err := tx.Remove("x", &ccache.Match{Flags: ccache.MatchKeyType, KeyType: -1})
				return err
			}
		}),
	},
	{
		name:  "removal by UUID",
		setUp: fillServices,
		work: oneUpdate(func(int) func(*ccstore.Tx) error {
			return func(tx *ccstore.Tx) error {
				cache, err := tx.Cache("x")
				if err != nil {
					return err
				}
				var ids []uuid.UUID
				for cred := range cache.Credentials() {
					ids = append(ids, cred.UUID)
				}
				_, err = tx.RemoveByUUID("x", ids)
				return err
			}
		}),
	},
	{
		name: "MOVE_CACHE onto another",
		setUp: func(n int) func(*ccstore.Tx) error {
			return func(tx *ccstore.Tx) error { tx.Initialize("y", storetest.Principal(alice)); return fillServices(n)(tx) }
		},
		work: oneUpdate(func(int) func(*ccstore.Tx) error {
			return func(tx *ccstore.Tx) error { return tx.Move("x", "y") }
		}),
	},
	{
		name:   "STOREs at the limit of tickets",
		limits: func(n int) ccstore.Limits { return ccstore.Limits{Tickets: n} },
		setUp:  func(n int) func(*ccstore.Tx) error { return fillServices(n - 1) },
		work:   storeEach,
	},
	{
		name:   "STOREs at the limit, of which all but one are TGTs",
		limits: func(n int) ccstore.Limits { return ccstore.Limits{Tickets: n + 1} },
		setUp:  fillTGTs,
		work:   storeEach,
	},
	{
		name:   "STOREs at the limit of bytes",
		limits: func(n int) ccstore.Limits { return ccstore.Limits{Bytes: int64(n) * 1200} },
		setUp:  fillServices,
		work:   storeEach,
	},
	{
		name:   "purge of expired tickets",
		limits: func(n int) ccstore.Limits { return ccstore.Limits{Bytes: int64(n)*3000 + 20_000} },
		setUp: func(n int) func(*ccstore.Tx) error {
			return fill("x", tickets(n, func(i int) *ccache.Credential { return ends(service(i), int64(-1-i)) })...)
		},
		work: oneUpdate(func(n int) func(*ccstore.Tx) error {
			large := host("large")
			large.Ticket = make([]byte, n*3000)
			return store("x", large)
		}),
	},
}

// storeTogether stores n tickets, with an update for each, which share commits.
func storeTogether(s *ccstore.Store, n int) error {
	errs := make(chan error, n)
	for i := range n {
		go func() { errs <- s.Update(context.Background(), owner, store("x", service(i))) }()
	}
	var first error
	for range n {
		if err := <-errs; err != nil {
			first = err
		}
	}
	return first
}

func runWorkload(tb testing.TB, w workload, n int) time.Duration {
	o := ccstore.Options{Clock: clocktest.New(now)}
	if w.limits != nil {
		o.Limits = w.limits(n)
	}
	s := ccstore.Open(discarding{}, o)
	defer s.Close()
	release, err := s.Hold(owner)
	if err != nil {
		tb.Fatal(err)
	}
	defer release()
	if w.setUp != nil {
		if err := s.Update(tb.Context(), owner, w.setUp(n)); err != nil {
			tb.Fatal(err)
		}
	}
	runtime.GC() // what was set up is not the workload's
	start := processorTime(tb)
	if err := w.work(s, n); err != nil {
		tb.Fatal(err)
	}
	return processorTime(tb) - start
}

// BenchmarkWorkload prints the time for each ticket: it must not grow with their number,
// but for the logarithm and the caches of the processor.
func BenchmarkWorkload(b *testing.B) {
	for _, w := range workloads {
		for _, n := range []int{1000, 10_000, 100_000} {
			b.Run(fmt.Sprintf("%s/tickets=%d", w.name, n), func(b *testing.B) {
				var took time.Duration
				for b.Loop() {
					took += runWorkload(b, w, n)
				}
				b.ReportMetric(float64(took.Nanoseconds())/float64(b.N*n), "ns/ticket")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

// processorTime returns what this process has had of the processors: it grows
// less than the wall clock does by what else runs on the machine.
func processorTime(tb testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		tb.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
