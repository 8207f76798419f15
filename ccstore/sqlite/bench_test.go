package sqlite_test

import (
	"context"
	"fmt"
	"path/filepath"
	"runtime"
	"sync/atomic"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// counting counts the commits of the store. The backend may write several of them in
// one transaction.
type counting struct {
	*sqlite.Backend
	commits atomic.Int64
}

func (b *counting) Commit(ctx context.Context, c *ccstore.Commit) error {
	b.commits.Add(1)
	return b.Backend.Commit(ctx, c)
}

// BenchmarkStore stores tickets durably: from one client, and from many clients of one
// user and of as many users.
func BenchmarkStore(b *testing.B) {
	for _, sync := range []sqlite.Synchronous{sqlite.Full, sqlite.Normal} {
		for _, tickets := range []int{10, 10_000} {
			b.Run(fmt.Sprintf("sync=%s/tickets=%d/clients=1", sync, tickets), func(b *testing.B) {
				benchStore(b, sync, tickets, 1, 1)
			})
		}
		for _, clients := range []int{8, 64} {
			for _, users := range []int{1, clients} {
				b.Run(fmt.Sprintf("sync=%s/tickets=10/clients=%d/users=%d", sync, clients, users), func(b *testing.B) {
					benchStore(b, sync, 10, clients, users)
				})
			}
		}
	}
}

func benchStore(b *testing.B, sync sqlite.Synchronous, tickets, clients, users int) {
	dir := b.TempDir()
	backend, err := sqlite.Open(b.Context(), filepath.Join(dir, "kcmd.db"), sqlite.Options{Synchronous: sync})
	if err != nil {
		b.Fatal(err)
	}
	counted := &counting{Backend: backend}
	s := ccstore.Open(counted, ccstore.Options{})
	defer s.Close()
	owner := func(user int) ccstore.Owner {
		return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(1000 + user)}
	}
	for user := range users {
		err := s.Update(b.Context(), owner(user), func(tx *ccstore.Tx) error {
			tx.Replace("x", storetest.Principal("alice@EXAMPLE.COM"), 0, storetest.Tickets("alice@EXAMPLE.COM", tickets))
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	counted.commits.Store(0)
	var client atomic.Int64
	work := func(next func() bool) {
		n := int(client.Add(1))
		ticket := storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/of-client-%d@EXAMPLE.COM", n))
		ticket.Ticket = make([]byte, 1000)
		for next() {
			err := s.Update(context.Background(), owner(n%users), func(tx *ccstore.Tx) error { return tx.Store("x", ticket) })
			if err != nil {
				b.Error(err)
				return
			}
		}
	}
	b.ResetTimer()
	if clients == 1 {
		i := 0
		work(func() bool { i++; return i <= b.N })
	} else {
		b.SetParallelism((clients + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0))
		b.RunParallel(func(pb *testing.PB) { work(pb.Next) })
	}
	b.ReportMetric(float64(counted.commits.Load())/float64(b.N), "commits/op")
}
