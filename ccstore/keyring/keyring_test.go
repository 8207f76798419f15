package keyring_test

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/cckeyring"
	"kcmd.org/kcmd/ccstore/keyring"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
)

var owner = ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000}

var sessions atomic.Int32

// newSession makes a session keyring that ends with the test. It returns what has a
// thread join it.
func newSession(t *testing.T) (join func() error) {
	t.Helper()
	awaitRoom(t)
	name := fmt.Sprintf("kcmd-keyring-test-%d-%d", os.Getpid(), sessions.Add(1))
	made, end, ended := make(chan error), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread() // and for ever: the thread ends, and with it the last use of the session
		id, err := unix.KeyctlJoinSessionKeyring(name)
		if err == nil {
			err = unix.KeyctlSetperm(id, 0x3f1f0000) // others of the user may join
		}
		made <- err
		<-end
	}()
	t.Cleanup(func() { close(end); <-ended })
	if err := <-made; err != nil {
		t.Skipf("there are no keyrings here: %v", err)
	}
	return func() error {
		_, err := unix.KeyctlJoinSessionKeyring(name)
		return err
	}
}

// awaitRoom waits some seconds until half of the quota of this user is free. On a busy
// machine the kernel takes a while to give back that of the keys of earlier tests; other
// packages use it too.
func awaitRoom(t *testing.T) {
	t.Helper()
	// A line is like " 1000:     5 4/4 4/200 54/20000" (keyrings(7)).
	of := regexp.MustCompile(fmt.Sprintf(`(?m)^ *%d: +\d+ \d+/\d+ (\d+)/(\d+) (\d+)/(\d+)$`, os.Geteuid()))
	for deadline := time.Now().Add(5 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		users, err := os.ReadFile("/proc/key-users")
		m := of.FindSubmatch(users)
		if err != nil || m == nil {
			return
		}
		var n [4]int
		for i := range n {
			n[i], _ = strconv.Atoi(string(m[i+1]))
		}
		if n[0] <= n[1]/2 && n[2] <= n[3]/2 {
			return
		}
	}
}

func in(collection string) cckeyring.Name {
	return cckeyring.Name{Anchor: cckeyring.Session, Collection: collection}
}

// options has collections for all owners of the suite, at a time before all tickets.
func options(t *testing.T) keyring.Options {
	o := keyring.Options{
		Prepare: newSession(t),
		Clock:   clocktest.New(time.Unix(400, 0)),
		Poll:    10 * time.Millisecond,
		Collections: map[ccstore.Owner]cckeyring.Name{
			owner: in("1000"),
			{Namespace: ccstore.DefaultNamespace, UID: 1001}:                 in("1001"),
			{Namespace: ccstore.DefaultNamespace, UID: 1000, Level: "s0:c1"}: in("level"),
			{Namespace: "container", UID: 1000}:                              in("container"),
			{Namespace: "container", UID: 1000, Level: "s0"}:                 in("container-level"),
		},
	}
	return o
}

func open(t *testing.T, o keyring.Options) *keyring.Backend {
	t.Helper()
	b, err := keyring.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// limits are what the kernel cannot do for a store.
func limits(t *testing.T) storetest.Limits {
	b := open(t, options(t))
	defer b.Close()
	l := storetest.Limits{Forgets: true, Displaces: true, Small: os.Geteuid() != 0 && quota(t) < 100_000}
	if !b.TakesLarge() {
		l.Largest = cckeyring.MaxUser
	}
	return l
}

// quota returns how many bytes the keys of a user may have.
func quota(t *testing.T) int {
	b, err := os.ReadFile("/proc/sys/kernel/keys/maxbytes")
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func TestStore(t *testing.T) {
	storetest.Run(t, limits(t), func(t *testing.T) storetest.Open {
		o := options(t)
		return func() ccstore.Backend { return open(t, o) }
	})
}

// An elsewhere is another program that uses a collection, with the keyring room alone.
type elsewhere struct {
	t     *testing.T
	calls chan func()
}

// newElsewhere returns a program in the session that join joins.
func newElsewhere(t *testing.T, join func() error) *elsewhere {
	e := &elsewhere{t, make(chan func())}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		runtime.LockOSThread()
		if err := join(); err != nil {
			t.Error(err)
		}
		for f := range e.calls {
			f()
		}
	}()
	t.Cleanup(func() { close(e.calls); <-ended })
	return e
}

func (e *elsewhere) do(f func(c *cckeyring.Collection) error) {
	e.t.Helper()
	awaitRoom(e.t)
	done := make(chan error)
	e.calls <- func() {
		c, err := cckeyring.Open(in("1000"))
		if err == nil {
			err = f(c)
		}
		done <- err
	}
	if err := <-done; err != nil {
		e.t.Error(err)
	}
}

func contents(creds ...*ccache.Credential) *ccache.Contents {
	return &ccache.Contents{Principal: storetest.Principal(alice), KDCOffset: -7, Microseconds: 5, Credentials: creds}
}

const (
	alice = "alice@EXAMPLE.COM"
	tgt   = "krbtgt/EXAMPLE.COM@EXAMPLE.COM"
	hostA = "host/a@EXAMPLE.COM"
	hostB = "host/b@EXAMPLE.COM"
)

// summary lists the caches of a collection, each with its tickets.
func summary(c *ccstore.Collection) (list []string) {
	for _, cache := range c.Caches() {
		s := cache.Name + ":"
		for cred := range cache.Credentials() {
			s += " " + cred.Server.String()
		}
		list = append(list, s)
	}
	return list
}

func want[T any](t *testing.T, what string, want, got T) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", what, diff)
	}
}

func snapshot(t *testing.T, s *ccstore.Store) *ccstore.Collection {
	t.Helper()
	c, err := s.Snapshot(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func update(t *testing.T, s *ccstore.Store, f func(tx *ccstore.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), owner, f); err != nil {
		t.Fatal(err)
	}
}

var now = time.Unix(400, 0)

// What another program does is seen by the next reader, and by an update.
func TestOthersWrite(t *testing.T) {
	o := options(t)
	o.Poll = time.Hour
	s := storetest.New(t, open(t, o))
	e := newElsewhere(t, o.Prepare)
	want(t, "nothing", nil, summary(snapshot(t, s)))

	a, b := storetest.Ticket(alice, hostA), storetest.Ticket(alice, hostB)
	a.StartTime, b.StartTime = 1700000002, 1700000001
	e.do(func(c *cckeyring.Collection) error {
		return c.Write("1000", contents(a, b, storetest.TGT(alice), storetest.Config(alice, "k", "v")), now)
	})
	c := snapshot(t, s)
	want(t, "a login", []string{"1000: " + storetest.Config(alice, "k", "v").Server.String() + " " + tgt + " " + hostB + " " + hostA}, summary(c))
	cache := c.Default()
	want(t, "KDC offset", -7, cache.KDCOffset)
	want(t, "UUID", uuid.NewSHA1(uuid.NameSpaceURL, []byte("KEYRING:session:1000:1000")), cache.UUID)

	// A ticket that is stored again keeps its key, with another payload.
	later := *a
	later.EndTime++
	e.do(func(c *cckeyring.Collection) error {
		caches, err := c.Caches()
		if err != nil {
			return err
		}
		return c.Apply(&cckeyring.Batch{Add: &cckeyring.Addition{Cache: caches[0].ID, Key: cckeyring.Key{Name: hostA, Data: later.Bytes()}}}, now)
	})
	c = snapshot(t, s)
	server := storetest.Principal(hostA)
	found, err := c.Default().Find(&ccache.Match{Server: &server})
	if err != nil || found.EndTime != later.EndTime {
		t.Errorf("a ticket stored again: %v, %v", found, err)
	}
	want(t, "UUID of the cache", cache.UUID, c.Default().UUID)

	e.do(func(c *cckeyring.Collection) error { return c.SetPrimary("b") })
	seen := ""
	update(t, s, func(tx *ccstore.Tx) error {
		seen = tx.DefaultName() // at last, of several attempts
		tx.Initialize("1000:b", storetest.Principal(alice))
		return nil
	})
	want(t, "default name in an update", "1000:b", seen)
	e.do(func(c *cckeyring.Collection) error { return c.Remove("1000") })
	want(t, "after a removal", []string{"1000:b:"}, summary(snapshot(t, s)))
}

// Events tell what another program does while nobody reads.
func TestWatch(t *testing.T) {
	o := options(t)
	s := storetest.New(t, open(t, o))
	e := newElsewhere(t, o.Prepare)
	release, err := s.Hold(owner)
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	events := make(chan ccstore.Event, 9)
	defer s.Watch(func(e ccstore.Event) { events <- e })()
	snapshot(t, s)
	for kernel, name := range map[string]string{"1000": "1000", "krb_ccache_x": "1000:krb_ccache_x"} {
		e.do(func(c *cckeyring.Collection) error { return c.Write(kernel, contents(storetest.TGT(alice)), now) })
		event := <-events
		want(t, "changes", 2, len(event.Changes))
		if _, err := event.After.Cache(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	update(t, s, func(tx *ccstore.Tx) error { return tx.Destroy("1000") })
	want(t, "own changes", ccstore.CacheDestroyed, (<-events).Changes[0].Kind)
}

// Any name of a cache has its own in the kernel.
func TestNames(t *testing.T) {
	o := options(t)
	s := storetest.New(t, open(t, o))
	e := newElsewhere(t, o.Prepare)
	names := map[string]string{
		"1000": "1000", "1000:x": "x", "1000:a:b": "a:b", "1000:krb_ccache_1": "krb_ccache_1", "1000:1000:x": "1000:x",
		"1000:1000": ":1000:1000", "1000:": ":1000:", "1000:.x": ":1000:.x", "1000::x": ":1000::x",
		"x": ":x", ":x": "::x", "1001": ":1001",
	}
	for name := range names {
		update(t, s, func(tx *ccstore.Tx) error { tx.Initialize(name, storetest.Principal(alice)); return nil })
	}
	e.do(func(c *cckeyring.Collection) error {
		got, err := c.Names()
		slices.Sort(got)
		want(t, "names in the kernel", slices.Sorted(maps.Values(names)), got)
		return errors.Join(err, c.Write(":1000", contents(), now)) // nobody's
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = storetest.New(t, open(t, o))
	var got []string
	for _, cache := range snapshot(t, s).Caches() {
		got = append(got, cache.Name)
	}
	slices.Sort(got)
	want(t, "names when opened again", slices.Sorted(maps.Keys(names)), got)
}

// What a store writes is what libkrb5 reads, and lasts as long as the tickets.
func TestWritten(t *testing.T) {
	o := options(t)
	s := storetest.New(t, open(t, o))
	e := newElsewhere(t, o.Prepare)
	other := storetest.Ticket(alice, hostA)
	other.Key.Type = 17 // beside that of type 18
	update(t, s, func(tx *ccstore.Tx) error {
		tx.Replace("1000:a", storetest.Principal(alice), 5, []*ccache.Credential{storetest.TGT(alice), storetest.Ticket(alice, hostA), other})
		tx.SetDefault("1000:a")
		return nil
	})
	e.do(func(c *cckeyring.Collection) error {
		primary, err := c.Primary()
		want(t, "primary", "a", primary)
		if err != nil {
			return err
		}
		got, err := c.Read("a")
		if err != nil {
			return err
		}
		want(t, "credentials", 3, len(got.Credentials))
		want(t, "KDC offset", 5, got.KDCOffset)
		caches, err := c.Caches()
		if err != nil {
			return err
		}
		for _, k := range caches[0].Keys {
			if left := timeout(t, k.ID); !strings.HasSuffix(left, "w") { // weeks
				t.Errorf("a ticket is to last for %s", left)
			}
		}
		if left := timeout(t, caches[0].ID); !strings.HasSuffix(left, "w") {
			t.Errorf("the cache is to last for %s", left)
		}
		return nil
	})
}

// timeout returns how long a key lasts, as /proc/keys has it.
func timeout(t *testing.T, id int) string {
	b, err := os.ReadFile("/proc/keys")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 3 && f[0] == fmt.Sprintf("%08x", id) {
			return f[3]
		}
	}
	return "absent"
}

// A store opened again has the same tickets, in the order of a login.
func TestOpenedAgain(t *testing.T) {
	o := options(t)
	s := storetest.New(t, open(t, o))
	update(t, s, func(tx *ccstore.Tx) error {
		tx.Replace("1000:b", storetest.Principal(alice), -300, []*ccache.Credential{storetest.Ticket(alice, hostA), storetest.TGT(alice)})
		tx.Initialize("1000:a", storetest.Principal(alice))
		tx.SetDefault("1000:b")
		return nil
	})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	var ids []uuid.UUID
	for range 2 {
		s = ccstore.Open(open(t, o), ccstore.Options{})
		c := snapshot(t, s)
		want(t, "caches", []string{"1000:b: " + tgt + " " + hostA, "1000:a:"}, summary(c))
		want(t, "KDC offset", -300, c.Default().KDCOffset)
		for cred := range c.Default().Credentials() {
			ids = append(ids, cred.UUID)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	want(t, "UUIDs", ids[:2], ids[2:])
}

// A change that the kernel does not take leaves all as it was.
func TestNothingHalf(t *testing.T) {
	o := options(t)
	s := storetest.New(t, open(t, o))
	update(t, s, func(tx *ccstore.Tx) error {
		tx.Replace("1000", storetest.Principal(alice), 0, []*ccache.Credential{storetest.TGT(alice)})
		return nil
	})
	before := snapshot(t, s)
	large := storetest.Ticket(alice, hostB)
	large.Ticket = bytes.Repeat([]byte("x"), cckeyring.MaxPayload)
	for name, f := range map[string]func(tx *ccstore.Tx) error{
		"Store": func(tx *ccstore.Tx) error {
			tx.SetDefault("1000:new")
			tx.Initialize("1000:new", storetest.Principal(alice))
			return tx.Store("1000", large)
		},
		"Replace": func(tx *ccstore.Tx) error {
			tx.Initialize("1000:new", storetest.Principal(alice))
			tx.Replace("1000", storetest.Principal(alice), 9, []*ccache.Credential{storetest.Ticket(alice, hostA), large})
			return nil
		},
	} {
		if err := s.Update(t.Context(), owner, f); !errors.Is(err, unix.EFBIG) {
			t.Errorf("%s: %v, want %v", name, err, unix.EFBIG)
		}
		if after := snapshot(t, s); after != before {
			t.Errorf("%s: the collection has %v", name, summary(after))
		}
	}
	err := s.Update(t.Context(), owner, func(tx *ccstore.Tx) error {
		tx.Initialize("1000:"+strings.Repeat("x", 4096), storetest.Principal(alice))
		return nil
	})
	if !errors.Is(err, unix.EINVAL) || !strings.Contains(err.Error(), "a name of at most 4000 bytes") {
		t.Errorf("a name that the kernel does not take: %v", err)
	}
	err = s.Update(t.Context(), ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 4242}, func(tx *ccstore.Tx) error {
		tx.Initialize("4242", storetest.Principal(alice))
		return nil
	})
	if err == nil || !strings.Contains(err.Error(), "the keyrings of another user cannot be written") {
		t.Errorf("another owner: %v", err)
	}
}

// Two programs write to one collection as fast as they can: neither loses a ticket.
func TestTogether(t *testing.T) {
	const rounds = 15 // for which the quota of a user has room
	o := options(t)
	s := storetest.New(t, open(t, o))
	e := newElsewhere(t, o.Prepare)
	update(t, s, func(tx *ccstore.Tx) error { tx.Initialize("1000", storetest.Principal(alice)); return nil })
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range rounds {
			e.do(func(c *cckeyring.Collection) error {
				return c.Write(fmt.Sprintf("elsewhere-%d", i), contents(storetest.TGT(alice)), now)
			})
		}
	})
	for i := range rounds {
		update(t, s, func(tx *ccstore.Tx) error {
			return tx.Store("1000", storetest.Ticket(alice, fmt.Sprintf("host/%d@EXAMPLE.COM", i)))
		})
	}
	wg.Wait()
	c := snapshot(t, s)
	want(t, "caches", rounds+1, c.Len())
	cache, err := c.Cache("1000")
	if err != nil {
		t.Fatal(err)
	}
	want(t, "tickets", rounds, cache.Len())
}

// BenchmarkFresh asks whether a collection of two caches, each with ten tickets, is the
// latest one.
func BenchmarkFresh(b *testing.B) {
	o := keyring.Options{Collections: map[ccstore.Owner]cckeyring.Name{owner: {Anchor: cckeyring.Thread, Collection: "1000"}}}
	backend, err := keyring.Open(o)
	if err != nil {
		b.Skip(err)
	}
	s := ccstore.Open(backend, ccstore.Options{})
	defer s.Close()
	for _, name := range []string{"1000", "1000:b"} {
		err := s.Update(b.Context(), owner, func(tx *ccstore.Tx) error {
			tx.Replace(name, storetest.Principal(alice), 0, storetest.Tickets(alice, 10))
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if same, err := backend.Fresh(b.Context(), owner, 2); !same || err != nil {
			b.Fatal(same, err)
		}
	}
}
