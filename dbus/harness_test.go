package dbus

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/clock/clocktest"
	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/lifecycle"
)

// debianPolicy is the default policy of a system bus.
const debianPolicy = `
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus"/>
  </policy>`

// systemPolicy is debianPolicy with the policy that the service installs, but that
// any user may own the name, and with one for polkit.
const systemPolicy = debianPolicy + `
  <policy context="default">
    <deny send_destination="org.kcmd.KCM1" send_type="signal" send_broadcast="false"/>
    <allow send_destination="org.kcmd.KCM1" send_type="method_call" max_fds="0"/>
    <allow send_destination="org.kcmd.KCM1" send_interface="org.kcmd.KCM1.Collection" send_member="AcquireWithPassword" max_fds="1"/>
    <allow send_destination="org.kcmd.KCM1" send_interface="org.kcmd.KCM1.Collection" send_member="AcquireWithKeytab" max_fds="1"/>
    <allow send_destination="org.kcmd.KCM1" send_interface="org.kcmd.KCM1.Collection" send_member="ChangePassword" max_fds="2"/>
    <allow own="org.kcmd.KCM1"/>
    <allow send_type="method_call" send_interface="org.freedesktop.DBus.Peer" send_member="Ping"/>
    <allow own="org.freedesktop.PolicyKit1"/>
    <allow send_destination="org.freedesktop.PolicyKit1"/>
  </policy>`

const sessionPolicy = `
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>`

// A testBus is a private dbus-daemon.
type testBus struct {
	t       testing.TB
	config  string
	address string
	daemon  *exec.Cmd
}

var buses int

// startBus starts a bus of type "system" or "session", and ends it with the test.
func startBus(t testing.TB, busType string) *testBus {
	t.Helper()
	if _, err := exec.LookPath("dbus-daemon"); err != nil {
		t.Skip("needs dbus-daemon: ", err)
	}
	policy := sessionPolicy
	if busType == "system" {
		policy = systemPolicy
	}
	buses++
	b := &testBus{
		t:       t,
		config:  filepath.Join(t.TempDir(), "bus.conf"),
		address: fmt.Sprintf("unix:abstract=kcmd-test-%d-%d", os.Getpid(), buses),
	}
	config := fmt.Sprintf("<busconfig>\n  <type>%s</type>\n  <listen>%s</listen>\n  <auth>EXTERNAL</auth>%s\n</busconfig>\n", busType, b.address, policy)
	if err := os.WriteFile(b.config, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	b.start()
	t.Cleanup(b.stop)
	return b
}

func (b *testBus) start() {
	b.t.Helper()
	b.daemon = exec.Command("dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--config-file", b.config)
	b.daemon.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	// Pdeathsig is about the thread that starts the process: it must live on.
	started := make(chan error)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- b.daemon.Start()
		b.daemon.Wait()
	}()
	if err := <-started; err != nil {
		b.t.Fatal(err)
	}
	eventually(b.t, "the bus listens", func() bool {
		conn, err := net.Dial("unix", socketOf(b.address))
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
}

func (b *testBus) stop() {
	b.daemon.Process.Kill()
	eventually(b.t, "the bus is gone", func() bool {
		conn, err := net.Dial("unix", socketOf(b.address))
		if err == nil {
			conn.Close()
		}
		return err != nil
	})
}

// patience is how long a test waits for an event. Only a failing test gets there.
const patience = time.Minute

// eventually waits until done holds.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain: %s", what)
		}
	}
}

func newStore(t testing.TB) *ccstore.Store {
	t.Helper()
	return storetest.CheckedAtEnd(t, ccstore.Open(memory.New(), ccstore.Options{}))
}

// startService runs a service over store until the test ends. It waits for the name.
func startService(t testing.TB, store *ccstore.Store, c Config) *Service {
	t.Helper()
	s := newService(t, store, c)
	run(t, s)
	wait(t, s.Ready(), "the name is owned")
	return s
}

func newService(t testing.TB, store *ccstore.Store, c Config) *Service {
	if c.Logger == nil {
		c.Logger = slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelDebug}))
	}
	if c.ExpiryWarning == 0 {
		c.ExpiryWarning = 10 * time.Minute
	}
	return New(store, c)
}

// run runs s until the test ends, or until the function that it returns is called.
func run(t testing.TB, s *Service) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	stop = func() {
		cancel()
		wait(t, done, "the service stops")
	}
	t.Cleanup(stop)
	return stop
}

func wait(t testing.TB, ch <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-ch:
	case <-time.After(patience):
		t.Fatalf("waited in vain: %s", what)
	}
}

// Names of package view, as the tests have them.
const (
	rootPath = view.Root
	userPath = view.Users
)

var (
	variants       = view.Variants
	collectionPath = view.CollectionPath
	cachePath      = view.CachePath
)

// socketOf returns the socket of a bus at an address that startBus made.
func socketOf(address string) string {
	socket := strings.TrimPrefix(address, "unix:path=")
	if name, ok := strings.CutPrefix(address, "unix:abstract="); ok {
		socket = "@" + name
	}
	return socket
}

// A tester is a connection of some user that remembers all signals.
type tester struct {
	t    testing.TB
	conn *godbus.Conn

	mu      sync.Mutex
	signals []*godbus.Signal
}

// DeliverSignal implements godbus.SignalHandler.
func (c *tester) DeliverSignal(_, _ string, s *godbus.Signal) {
	if s.Sender == "org.freedesktop.DBus" {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signals = append(c.signals, s)
}

func (b *testBus) connect(t testing.TB) *tester {
	t.Helper()
	return b.connectAs(t, uint32(os.Geteuid()))
}

// connectAs connects as another user, for which it must be root: the bus sees
// the effective uid of the thread that connects.
func (b *testBus) connectAs(t testing.TB, uid uint32) *tester {
	t.Helper()
	c := &tester{t: t}
	dialed := make(chan error)
	go func() {
		dialed <- as(uid, func() (err error) {
			c.conn, err = godbus.Dial(b.address, godbus.WithSignalHandler(c))
			return err
		})
	}()
	if err := <-dialed; err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.conn.Close() })
	if err := c.conn.Auth([]godbus.Auth{godbus.AuthExternal(strconv.Itoa(int(uid)))}); err != nil {
		t.Fatal(err)
	}
	if err := c.conn.Hello(); err != nil {
		t.Fatal(err)
	}
	return c
}

// as calls f with the effective uid of this thread alone set to uid.
func as(uid uint32, f func() error) error {
	own := os.Geteuid()
	if int(uid) == own {
		return f()
	}
	runtime.LockOSThread()
	const same = ^uintptr(0)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(uid), same); errno != 0 {
		return errno
	}
	err := f()
	if _, _, errno := syscall.RawSyscall(syscall.SYS_SETRESUID, same, uintptr(own), same); errno != 0 {
		return errno // and the thread stays locked, so that nobody else gets it
	}
	runtime.UnlockOSThread()
	return err
}

func needRoot(t testing.TB) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root, to connect as several users")
	}
}

// call calls a method; name is without "org.kcmd.KCM1." for interfaces of ours.
func (c *tester) call(path godbus.ObjectPath, name string, args ...any) *godbus.Call {
	if !strings.HasPrefix(name, "org.") {
		name = "org.kcmd.KCM1." + name
	}
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	defer cancel()
	return c.conn.Object(BusName, path).CallWithContext(ctx, name, 0, args...)
}

// must calls a method that has one result.
func must[T any](c *tester, path godbus.ObjectPath, name string, args ...any) T {
	c.t.Helper()
	var result T
	if err := c.call(path, name, args...).Store(&result); err != nil {
		c.t.Fatalf("%s: %v", name, err)
	}
	return result
}

// fails calls a method and returns name and text of its error.
func (c *tester) fails(path godbus.ObjectPath, name string, args ...any) (string, string) {
	c.t.Helper()
	var err godbus.Error
	if !errors.As(c.call(path, name, args...).Err, &err) {
		c.t.Fatalf("%s on %s did not fail", name, path)
	}
	return err.Name, err.Error()
}

func (c *tester) property(path godbus.ObjectPath, iface, name string) any {
	c.t.Helper()
	return must[godbus.Variant](c, path, propertiesGet, "org.kcmd.KCM1."+iface, name).Value()
}

const (
	propertiesGet    = "org.freedesktop.DBus.Properties.Get"
	propertiesGetAll = "org.freedesktop.DBus.Properties.GetAll"
	managedObjects   = "org.freedesktop.DBus.ObjectManager.GetManagedObjects"
	introspectCall   = "org.freedesktop.DBus.Introspectable.Introspect"
)

type objects = map[godbus.ObjectPath]map[string]map[string]godbus.Variant

// received returns the signals so far, as "member path", without those of members
// that are not asked for; no members are all.
func (c *tester) received(members ...string) []*godbus.Signal {
	c.mu.Lock()
	defer c.mu.Unlock()
	var list []*godbus.Signal
	for _, s := range c.signals {
		member := s.Name[strings.LastIndexByte(s.Name, '.')+1:]
		if len(members) == 0 || strings.Contains(" "+strings.Join(members, " ")+" ", " "+member+" ") {
			list = append(list, s)
		}
	}
	return list
}

func (c *tester) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.signals = nil
}

func (c *tester) awaitSignal(member string) *godbus.Signal {
	c.t.Helper()
	eventually(c.t, "signal "+member, func() bool { return len(c.received(member)) > 0 })
	return c.received(member)[0]
}

// What tests store.

func alice() ccache.Principal {
	return ccache.Principal{NameType: 1, Realm: "EXAMPLE.COM", Components: []string{"alice"}}
}

func tgt(client ccache.Principal, end time.Time) *ccache.Credential {
	return credential(client, end, "krbtgt", client.Realm)
}

// credential returns a ticket that began an hour before end.
func credential(client ccache.Principal, end time.Time, server ...string) *ccache.Credential {
	start := uint32(end.Add(-time.Hour).Unix())
	return &ccache.Credential{
		Client:    client,
		Server:    ccache.Principal{NameType: 2, Realm: client.Realm, Components: server},
		Key:       ccache.Key{Type: 18, Value: []byte("0123456789abcdef0123456789abcdef")},
		AuthTime:  start,
		StartTime: start,
		EndTime:   uint32(end.Unix()),
		RenewTill: uint32(end.Add(24 * time.Hour).Unix()),
		Flags:     ccache.FlagRenewable | ccache.FlagInitial,
		Ticket:    []byte(encodedTicket),
	}
}

// encodedTicket is a Ticket of RFC 4120 with the encryption type 20.
const encodedTicket = "a:08\xa0\x03\x02\x01\x05\xa1\r\x13\vEXAMPLE.COM\xa2\n0\b\x13\x06krbtgt\xa3\x160\x14\xa0\x03\x02\x01\x14\xa1\x03\x02\x01\x01\xa2\b\x04\x06secret"

// owner returns whom the collection of a user belongs to, without SELinux.
func owner(uid uint32) ccstore.Owner { return view.NewScope(uid, "").Owner(uid) }

func update(t testing.TB, store *ccstore.Store, uid uint32, f func(*ccstore.Tx)) {
	t.Helper()
	err := store.Update(t.Context(), owner(uid), func(tx *ccstore.Tx) error {
		f(tx)
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// kinit fills the cache name of uid with a TGT that ends in ten hours.
func kinit(t testing.TB, store *ccstore.Store, uid uint32, name string, p ccache.Principal) {
	t.Helper()
	end := time.Now().Add(10 * time.Hour)
	update(t, store, uid, func(tx *ccstore.Tx) {
		tx.Replace(name, p, 0, []*ccache.Credential{withStart(tgt(p, end), time.Now().Add(-time.Minute))})
	})
}

func withStart(c *ccache.Credential, start time.Time) *ccache.Credential {
	c.AuthTime, c.StartTime = uint32(start.Unix()), uint32(start.Unix())
	return c
}

// pathOf returns the object path of a cache.
func pathOf(t testing.TB, store *ccstore.Store, uid uint32, name string) godbus.ObjectPath {
	t.Helper()
	var path godbus.ObjectPath
	err := store.View(t.Context(), owner(uid), func(c *ccstore.Collection) error {
		one, err := c.Cache(name)
		if err == nil {
			path = cachePath(uid, one.UUID)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// keepTime returns a clock that stands still at now, in seconds since 1970, until
// a test sets it, and has the expiry of the tickets in store announced by it.
func keepTime(t testing.TB, store *ccstore.Store, now int64) *clocktest.Manual {
	t.Helper()
	c := clocktest.New(time.Unix(now, 0))
	a := lifecycle.NewAnnouncer(store, lifecycle.AnnouncerOptions{
		Clock: c, Warning: 10 * time.Minute, Logger: slog.New(slog.DiscardHandler),
	})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			t.Error(err)
		}
	}()
	eventually(t, "the announcer sleeps", func() bool { return c.Sets() > 0 })
	t.Cleanup(func() {
		cancel()
		wait(t, done, "the announcer ends")
	})
	return c
}
