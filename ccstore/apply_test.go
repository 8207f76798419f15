package ccstore_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
)

// A recorder keeps the last commit.
type recorder struct {
	ccstore.Backend
	last *ccstore.Commit
}

func (b *recorder) Commit(ctx context.Context, c *ccstore.Commit) error {
	b.last = c
	return b.Backend.Commit(ctx, c)
}

// contents are the credentials of each cache, by UUID.
type contents map[uuid.UUID]map[uuid.UUID]bool

func contentsOf(c *ccstore.Collection) contents {
	all := contents{}
	for _, cache := range c.Caches() {
		all[cache.UUID] = map[uuid.UUID]bool{}
		for cred := range cache.Credentials() {
			all[cache.UUID][cred.UUID] = true
		}
	}
	return all
}

// replay makes changes to what c holds.
func replay(t *testing.T, c *ccstore.Collection, changes []ccstore.Change) contents {
	t.Helper()
	all := contentsOf(c)
	for _, change := range changes {
		switch change.Kind {
		case ccstore.CacheCreated:
			all[change.Cache] = map[uuid.UUID]bool{}
		case ccstore.CacheDestroyed:
			delete(all, change.Cache)
		case ccstore.CredentialAdded:
			all[change.Cache][change.Credential.UUID] = true
		case ccstore.CredentialRemoved:
			if !all[change.Cache][change.Credential.UUID] {
				t.Errorf("credential %s is removed, and was not there", change.Credential.UUID)
			}
			delete(all[change.Cache], change.Credential.UUID)
		}
	}
	return all
}

// lines tells of changes, without attributes of caches, which may be told twice.
func lines(changes []ccstore.Change) (list []string) {
	for _, c := range changes {
		line := fmt.Sprint(c.Kind, " ", c.Cache, " ", c.Reason)
		if c.Credential != nil {
			line += " " + c.Credential.UUID.String()
		}
		if c.Kind != ccstore.CacheChanged {
			list = append(list, line)
		}
	}
	return list
}

// randomUpdate does a few random things in one transaction.
func randomUpdate(rnd *rand.Rand) func(*ccstore.Tx) error {
	pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
	name := func() string { return pick("1000", "1000:a", "1000:b", "1000:c") }
	ticket := func() *ccache.Credential {
		cred := storetest.Ticket("alice@EXAMPLE.COM", pick("host/a", "host/b", "krbtgt/EXAMPLE.COM")+"@EXAMPLE.COM")
		cred.Key.Type = int16(rnd.IntN(4))
		cred.EndTime, cred.RenewTill = uint32(now.Unix()+int64(rnd.IntN(200)-20)), 0
		return cred
	}
	one := func(tx *ccstore.Tx) {
		switch rnd.IntN(12) {
		case 0:
			tx.Initialize(name(), storetest.Principal(pick("alice", "bob")+"@EXAMPLE.COM"))
		case 1:
			tx.Replace(name(), storetest.Principal("alice@EXAMPLE.COM"), rnd.Int32N(3), []*ccache.Credential{ticket(), ticket()})
		case 2:
			tx.Destroy(name())
		case 3, 4:
			tx.Move(name(), name())
		case 5:
			tx.SetDefault(name())
		case 6:
			tx.SetKDCOffset(name(), rnd.Int32N(3))
		case 7:
			server := ticket().Server
			tx.Remove(name(), &ccache.Match{Server: &server})
		case 8:
			tx.Reap(now.Unix() + rnd.Int64N(100))
		default:
			tx.Store(name(), ticket())
		}
	}
	n := 1 + rnd.IntN(6)
	return func(tx *ccstore.Tx) error {
		for range n {
			one(tx)
		}
		return nil
	}
}

// TestApplyAndDiff makes random updates. Applied to the collection before, the ops
// of a commit make what the backend loads, and the same changes; the difference
// of both collections leads from one to the other.
func TestApplyAndDiff(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	b := &recorder{Backend: memory.New()}
	limits := ccstore.Limits{Caches: 3, Tickets: 5}
	s := storetest.CheckedAtEnd(t, ccstore.Open(b, ccstore.Options{Limits: limits, Clock: clocktest.New(now)}))
	var event ccstore.Event
	s.Watch(func(e ccstore.Event) { event = e })
	before, err := s.Snapshot(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		b.last = nil
		s.Update(t.Context(), owner, randomUpdate(rnd))
		if b.last == nil {
			continue // it changed nothing, or exceeded a limit
		}
		r, err := b.Load(t.Context(), owner)
		if err != nil {
			t.Fatal(err)
		}
		loaded := ccstore.FromRecord(owner, r)
		after, changes := ccstore.Apply(before, b.last.Ops)
		if err := after.Same(loaded); err != nil {
			t.Fatalf("applied and loaded: %v; ops %v", err, b.last.Ops)
		}
		if diff := cmp.Diff(lines(event.Changes), lines(changes)); diff != "" {
			t.Fatalf("changes of the transaction (-) and of its ops (+):\n%s", diff)
		}
		for what, list := range map[string][]ccstore.Change{"event": event.Changes, "apply": changes, "diff": ccstore.Diff(before, loaded)} {
			if diff := cmp.Diff(contentsOf(loaded), replay(t, before, list)); diff != "" {
				t.Fatalf("%s: loaded (-) and before with its changes (+):\n%s", what, diff)
			}
		}
		if list := ccstore.Diff(after, loaded); len(list) != 0 {
			t.Fatalf("the difference of the same collection is %v", lines(list))
		}
		before = after
	}
}

// TestOnePutPerCache has many updates share a commit: it puts their cache once.
func TestOnePutPerCache(t *testing.T) {
	b := &recorder{Backend: memory.New()}
	s := storetest.CheckedAtEnd(t, ccstore.Open(b, ccstore.Options{}))
	err := s.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
		tx.Initialize("a", storetest.Principal("alice@EXAMPLE.COM"))
		for i := range 10 {
			if err := tx.Store("a", storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/%d@EXAMPLE.COM", i))); err != nil {
				return err
			}
		}
		if err := tx.Move("a", "b"); err != nil {
			return err
		}
		tx.Initialize("a", storetest.Principal("bob@EXAMPLE.COM"))
		return tx.SetKDCOffset("b", 3)
	})
	if err != nil {
		t.Fatal(err)
	}
	var puts []string
	for _, op := range b.last.Ops {
		if put, ok := op.(ccstore.PutCache); ok {
			puts = append(puts, fmt.Sprint(put.ID, " ", put.Name, " ", put.KDCOffset))
		}
	}
	if want := []string{"1 a 3", "2 a 0"}; !slices.Equal(puts, want) {
		t.Errorf("puts %q, want %q", puts, want)
	}
}
