package dbus

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// TestBusRestart ends the bus and starts it again.
func TestBusRestart(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address})
	must[objects](bus.connect(t), rootPath, managedObjects)
	bus.stop()
	kinit(t, store, uid, "x", alice()) // does not care
	bus.start()
	c := bus.connect(t)
	eventually(t, "the service is back", func() bool {
		return c.call(rootPath, "org.freedesktop.DBus.Peer.Ping").Err == nil
	})
	if got := c.property(collectionPath(uid), "Collection", "TicketCount"); got != uint32(1) {
		t.Errorf("TicketCount %v", got)
	}
	must[objects](c, rootPath, managedObjects)
	update(t, store, uid, func(tx *ccstore.Tx) { tx.SetDefault("x") })
	c.awaitSignal("PropertiesChanged")
}

// TestNoBus runs a service before there is a bus.
func TestNoBus(t *testing.T) {
	bus := startBus(t, "system")
	bus.stop()
	store := newStore(t)
	s := newService(t, store, Config{Address: bus.address})
	run(t, s)
	kinit(t, store, 1000, "x", alice())
	select {
	case <-s.Ready():
		t.Fatal("ready without a bus")
	case <-time.After(100 * time.Millisecond):
	}
	bus.start()
	wait(t, s.Ready(), "the name is owned")
}

// TestOnce: a service that a bus has started ends with it.
func TestOnce(t *testing.T) {
	bus := startBus(t, "system")
	s := newService(t, newStore(t), Config{Address: bus.address, Once: true})
	ended := make(chan error, 1)
	go func() { ended <- s.Run(t.Context()) }()
	wait(t, s.Ready(), "the name is owned")
	bus.stop()
	select {
	case err := <-ended:
		if err == nil {
			t.Error("Run returned nil, want the reason")
		}
	case <-time.After(patience):
		t.Error("Run goes on without its bus")
	}
}

// TestRefusedOnce has a bus that lets nobody own the name: its error names the
// connection, which is another one at each attempt, and is logged once all the
// same.
func TestRefusedOnce(t *testing.T) {
	bus := startBus(t, "system")
	bus.stop()
	config, err := os.ReadFile(bus.config)
	if err != nil {
		t.Fatal(err)
	}
	deny := `<policy context="mandatory"><deny own="org.kcmd.KCM1"/></policy></busconfig>`
	if err := os.WriteFile(bus.config, []byte(strings.Replace(string(config), "</busconfig>", deny, 1)), 0o644); err != nil {
		t.Fatal(err)
	}
	bus.start()
	address, attempts := proxy(t, bus)
	log := new(lockedBuffer)
	run(t, newService(t, newStore(t), Config{Address: address, Logger: slog.New(slog.NewTextHandler(log, nil))}))
	for range 3 {
		wait(t, attempts, "an attempt")
	}
	if got := strings.Count(log.String(), "not on the bus"); got != 1 {
		t.Errorf("logged %d times:\n%s", got, log.String())
	}
}

// A lockedBuffer can be read while it is written.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}

// proxy returns the address of a socket that leads to the bus, and a channel that
// receives a value for each connection.
func proxy(t *testing.T, bus *testBus) (address string, connections <-chan struct{}) {
	t.Helper()
	name := fmt.Sprintf("@kcmd-test-proxy-%d", os.Getpid())
	l, err := net.Listen("unix", name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	accepted := make(chan struct{}, 100)
	go func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			accepted <- struct{}{}
			server, err := net.Dial("unix", socketOf(bus.address))
			if err != nil {
				client.Close()
				continue
			}
			forward := func(to, from net.Conn) {
				io.Copy(to, from)
				to.Close()
				from.Close()
			}
			go forward(server, client)
			go forward(client, server)
		}
	}()
	return "unix:abstract=" + name[1:], accepted
}

// TestNameTaken starts two services: the second waits for the first to go.
func TestNameTaken(t *testing.T) {
	bus := startBus(t, "system")
	first := newService(t, newStore(t), Config{Address: bus.address, Version: "first"})
	stop := run(t, first)
	wait(t, first.Ready(), "the first owns the name")
	second := newService(t, newStore(t), Config{Address: bus.address, Version: "second"})
	run(t, second)
	c := bus.connect(t)
	select {
	case <-second.Ready():
		t.Fatal("two own the name")
	case <-time.After(200 * time.Millisecond):
	}
	if got := c.property(rootPath, "Manager", "Version"); got != "first" {
		t.Errorf("answered by the %v", got)
	}
	stop()
	wait(t, second.Ready(), "the second owns the name")
	if got := c.property(rootPath, "Manager", "Version"); got != "second" {
		t.Errorf("answered by the %v", got)
	}
}

// TestSessionMode: signals are broadcast to every connection with a match rule.
func TestSessionMode(t *testing.T) {
	bus := startBus(t, "session")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus.address)
	startService(t, store, Config{Address: "session"})
	c, other := bus.connect(t), bus.connect(t)
	if err := c.conn.AddMatchSignal(godbus.WithMatchSender(BusName)); err != nil {
		t.Fatal(err)
	}
	kinit(t, store, uid, "x", alice())
	c.awaitSignal("InterfacesAdded")
	c.awaitSignal("TicketsAdded")
	if got := c.property(rootPath, "Manager", "Mode"); got != "session" {
		t.Errorf("Mode %v", got)
	}
	must[objects](other, rootPath, managedObjects)
	if err := other.call(rootPath, "Manager.Subscribe", map[string]godbus.Variant{}).Err; err != nil {
		t.Fatal(err)
	}
	update(t, store, uid, func(tx *ccstore.Tx) {
		if err := tx.Destroy("x"); err != nil {
			t.Error(err)
		}
	})
	c.awaitSignal("InterfacesRemoved")
	if got := other.received(); len(got) != 0 {
		t.Errorf("%d signals were sent to a connection of their own", len(got))
	}
}

// TestSubscriptions: which calls subscribe, which end a subscription, and how the
// options restrict it.
func TestSubscriptions(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kinit(t, store, uid, "x", alice())
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	subscribed := func() any { return c.property(rootPath, "Manager", "Subscribed") }
	is := func(what string, want bool) {
		t.Helper()
		if got := subscribed(); got != want {
			t.Errorf("%s: Subscribed %v", what, got)
		}
	}
	is("at first", false)
	must[string](c, rootPath, introspectCall)
	must[map[string]godbus.Variant](c, rootPath, propertiesGetAll, "org.freedesktop.DBus.Peer")
	is("after Introspect, Get and GetAll of a standard interface", false)
	must[map[string]godbus.Variant](c, collectionPath(uid), propertiesGetAll, "org.kcmd.KCM1.Collection")
	is("after GetAll", true)
	if err := c.call(rootPath, "Manager.Unsubscribe").Err; err != nil {
		t.Fatal(err)
	}
	is("after Unsubscribe", false)
	must[objects](c, rootPath, managedObjects)
	is("after GetManagedObjects", true)

	options := variants(map[string]any{"ticket-signals": false, "collection": collectionPath(uid)})
	if err := c.call(rootPath, "Manager.Subscribe", options).Err; err != nil {
		t.Fatal(err)
	}
	kinit(t, store, uid, "x", alice())
	kinit(t, store, uid, "y", alice())
	must[objects](c, rootPath, managedObjects)
	if got := len(c.received("TicketsAdded", "TicketsRemoved")); got != 0 {
		t.Errorf("%d ticket signals, though not asked for", got)
	}
	if got := len(c.received("InterfacesAdded")); got != 1 {
		t.Errorf("%d InterfacesAdded", got)
	}

	listener := bus.connect(t)
	n := must[uint32](c, rootPath, "Manager.SubscribeProcess", uint32(os.Getpid()), map[string]godbus.Variant{})
	if n < 2 {
		t.Errorf("SubscribeProcess found %d connections", n)
	}
	kinit(t, store, uid, "z", alice())
	listener.awaitSignal("TicketsAdded")
}

// TestSubscribersLeave: a connection that leaves the bus makes room for another
// subscription of its user, whether the caller or another process subscribed it.
func TestSubscribersLeave(t *testing.T) {
	bus := startBus(t, "system")
	startService(t, newStore(t), Config{Address: bus.address})
	subscribe := func(c *tester) error { return c.call(rootPath, "Manager.Subscribe", map[string]godbus.Variant{}).Err }
	last := bus.connect(t)
	for round := range 3 {
		var connections []*tester
		for range maxSubscriptions {
			connections = append(connections, bus.connect(t))
		}
		if round == 1 {
			// This subscribes as many as there is room for, among them last.
			c := connections[0]
			c.call(rootPath, "Manager.SubscribeProcess", uint32(os.Getpid()), map[string]godbus.Variant{})
			if err := last.call(rootPath, "Manager.Unsubscribe").Err; err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range connections {
			if err := subscribe(c); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
		}
		if subscribe(last) == nil {
			t.Fatalf("round %d: more than %d subscriptions", round, maxSubscriptions)
		}
		for _, c := range connections {
			c.conn.Close()
		}
		eventually(t, "the others are forgotten", func() bool { return subscribe(last) == nil })
		if err := last.call(rootPath, "Manager.Unsubscribe").Err; err != nil {
			t.Fatal(err)
		}
	}
}

// A countingSocket counts in what is sent how often a word is.
type countingSocket struct {
	link.Socket
	word string
	n    atomic.Int64
}

func (s *countingSocket) Write(b []byte) (int, error) {
	s.n.Add(int64(bytes.Count(b, []byte(s.word))))
	return s.Socket.Write(b)
}

// TestSubscribeProcessAsksOnce: the bus is asked once for the process of each
// connection, however often SubscribeProcess is called, and it finds those that
// came since and none that left.
func TestSubscribeProcessAsksOnce(t *testing.T) {
	bus := startBus(t, "system")
	s := newService(t, newStore(t), Config{Address: bus.address})
	socket, err := link.Dial(t.Context(), bus.address)
	if err != nil {
		t.Fatal(err)
	}
	counted := &countingSocket{Socket: socket, word: "GetConnectionUnixProcessID"}
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = s.serve(ctx, counted) })
	defer running.Wait()
	defer cancel()
	wait(t, s.Ready(), "the name is owned")
	c := bus.connect(t)
	find := func() uint32 {
		return must[uint32](c, rootPath, "Manager.SubscribeProcess", uint32(os.Getpid()), map[string]godbus.Variant{})
	}
	start := find() // the connections of the test
	var connections []*tester
	for range 20 {
		connections = append(connections, bus.connect(t))
	}
	before := counted.n.Load()
	for range 3 {
		if got := find(); got != start+20 {
			t.Errorf("%d connections, want %d", got, start+20)
		}
	}
	if asked := counted.n.Load() - before; asked != 20 {
		t.Errorf("the bus was asked %d times about 20 new connections", asked)
	}
	for _, one := range connections[5:] {
		one.conn.Close()
	}
	eventually(t, "those that left are not found", func() bool { return find() == start+5 })
	if asked := counted.n.Load() - before; asked != 20 {
		t.Errorf("the bus was asked %d times in the end", asked)
	}
	if name, _ := c.fails(rootPath, "Manager.SubscribeProcess", uint32(0), map[string]godbus.Variant{}); name != errProcessUnknown {
		t.Errorf("process 0: %s", name)
	}
}

// TestLeft: the service keeps nothing of a peer that left the bus.
func TestLeft(t *testing.T) {
	b := &bus{Service: &Service{}, clients: newClients(func() {})}
	peer := new(link.Peer)
	if _, err := b.clients.subscribe(peer, subscription{scope: view.NewScope(1000, "")}); err != nil {
		t.Fatal(err)
	}
	if !b.clients.want(owner(1000)) || len(b.clients.recipients(owner(1000))) != 1 {
		t.Error("not subscribed")
	}
	b.Left(peer)
	if b.clients.want(owner(1000)) || len(b.clients.byPeer) != 0 {
		t.Error("a peer that left is subscribed")
	}
}

func TestSubscriptionLimit(t *testing.T) {
	c := newClients(func() {})
	add := func(uid uint32, implicit bool) (*client, error) {
		peer := new(link.Peer)
		_, err := c.subscribe(peer, subscription{scope: view.NewScope(uid, ""), implicit: implicit})
		return c.byPeer[peer], err
	}
	oldest, err := add(1000, true)
	if err != nil {
		t.Fatal(err)
	}
	for range maxSubscriptions - 1 {
		if _, err := add(1000, false); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := add(1000, false); err != nil || c.subscribed(oldest) {
		t.Errorf("the oldest implicit one did not make room: %v", err)
	}
	if one, err := add(1000, true); err == nil || c.subscribed(one) {
		t.Error("one too many")
	}
	if _, err := add(1001, true); err != nil {
		t.Errorf("another user: %v", err)
	}
}

// A brokenClock panics once it is broken.
type brokenClock struct {
	clock.System
	broken *atomic.Bool
}

func (c brokenClock) Now() time.Time {
	if c.broken.Load() {
		panic("the clock fell down")
	}
	return c.System.Now()
}

// TestPanic: a handler that panics answers with an error, and the next call is
// served.
func TestPanic(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	s := newService(t, store, Config{Address: bus.address})
	var broken atomic.Bool
	s.Clock = brokenClock{broken: &broken}
	run(t, s)
	wait(t, s.Ready(), "the name is owned")
	c := bus.connect(t)
	broken.Store(true)
	if name, text := c.fails(collectionPath(uint32(os.Geteuid())), propertiesGetAll, "org.kcmd.KCM1.Collection"); name != errFailed || text != "internal error" {
		t.Errorf("%s %q", name, text)
	}
	if err := c.call(rootPath, "org.freedesktop.DBus.Peer.Ping").Err; err != nil {
		t.Error(err)
	}
}

// TestStalled stops first a subscriber, then the bus itself, and expects the
// store not to care.
func TestStalled(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	s := newService(t, store, Config{Address: bus.address})
	stop := run(t, s)
	wait(t, s.Ready(), "the name is owned")
	c := bus.connect(t)
	kinit(t, store, uid, "x", alice())
	must[objects](c, rootPath, managedObjects)
	c.mu.Lock() // it reads one more message at most
	storeFor(t, store, uid, 300*time.Millisecond)
	c.mu.Unlock()

	if err := bus.daemon.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	storeFor(t, store, uid, 500*time.Millisecond)
	if err := bus.daemon.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	must[objects](c, rootPath, managedObjects)

	// Nor does the end of the service wait for a bus that hangs, which a write does
	// for 30 s.
	if err := bus.daemon.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	storeFor(t, store, uid, 300*time.Millisecond)
	start := time.Now()
	stop()
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the end took %v", took)
	}
	if err := bus.daemon.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
}

// storeFor stores tickets with long names until some time has passed. None waits for
// the bus: a write to it would do that for 30 s.
func storeFor(t *testing.T, store *ccstore.Store, uid uint32, d time.Duration) {
	t.Helper()
	for start, i := time.Now(), 0; time.Since(start) < d; i++ {
		before := time.Now()
		update(t, store, uid, func(tx *ccstore.Tx) {
			for k := range 20 {
				if err := tx.Store("x", credential(alice(), start.Add(time.Hour), strings.Repeat("x", 1000), fmt.Sprint(i, k))); err != nil {
					t.Error(err)
				}
			}
		})
		if took := time.Since(before); took > 20*time.Second {
			t.Fatalf("a commit took %v", took)
		}
	}
}
