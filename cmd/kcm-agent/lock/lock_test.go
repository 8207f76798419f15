package lock

import (
	"context"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/tests/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(func(*lab.Lab) {}, m.Run)) }

const (
	patience = 30 * time.Second
	gnome    = "org.gnome.ScreenSaver"
)

// A saver is a screen saver, which is active or not.
type saver struct {
	conn *godbus.Conn
	name string

	mu     sync.Mutex
	active bool
}

// GetActive is the method of screen savers.
func (s *saver) GetActive() (bool, *godbus.Error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.active, nil
}

// set activates it or ends that, and says so.
func (s *saver) set(d *desktop, active bool) {
	s.mu.Lock()
	s.active = active
	s.mu.Unlock()
	d.check(s.conn.Emit(savers[s.name], s.name+".ActiveChanged", active))
}

// A logind has one user with one session.
type logind struct {
	conn *godbus.Conn

	mu      sync.Mutex
	display godbus.ObjectPath // of the session, "/" for none
	locked  bool
	asked   bool // for LockedHint
}

// Get is the method of D-Bus for properties, of the user and of the session.
func (l *logind) Get(m godbus.Message, iface, name string) (godbus.Variant, *godbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	at := m.Headers[godbus.FieldPath].Value()
	switch {
	case at == userPath() && iface+"."+name == login+".User.Display":
		return godbus.MakeVariant(struct {
			ID   string
			Path godbus.ObjectPath
		}{"2", l.display}), nil
	case at == l.display && iface+"."+name == session+".LockedHint":
		l.asked = true
		return godbus.MakeVariant(l.locked), nil
	}
	return godbus.Variant{}, godbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", nil)
}

func (l *logind) set(d *desktop, locked bool) {
	l.mu.Lock()
	l.locked = locked
	path := l.display
	l.mu.Unlock()
	d.check(l.conn.Emit(path, properties+".PropertiesChanged", session,
		map[string]godbus.Variant{"LockedHint": godbus.MakeVariant(locked)}, []string{}))
}

// end ends the session.
func (l *logind) end(d *desktop) {
	l.mu.Lock()
	path := l.display
	l.display = "/"
	l.mu.Unlock()
	d.check(l.conn.Emit("/org/freedesktop/login1", login+".Manager.SessionRemoved", "2", path))
}

// begin begins another.
func (l *logind) begin(d *desktop, path godbus.ObjectPath, locked bool) {
	l.mu.Lock()
	l.display, l.locked = path, locked
	l.mu.Unlock()
	d.check(l.conn.Export(l, path, properties))
	d.check(l.conn.Emit(userPath(), properties+".PropertiesChanged", login+".User", map[string]godbus.Variant{}, []string{"Display"}))
}

func userPath() godbus.ObjectPath {
	return godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/login1/user/_%d", os.Getuid()))
}

// A desktop has both buses, on which logind and screen savers come and go, and a Watch.
type desktop struct {
	t               *testing.T
	system, session *lab.Bus
	heard           chan bool
}

func newDesktop(t *testing.T) *desktop {
	t.Helper()
	d := &desktop{t: t, heard: make(chan bool, 100)}
	d.system, d.session = lab.NewBusForTest(t), lab.NewBusForTest(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", d.system.Address)
	return d
}

func (d *desktop) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

func (d *desktop) connect(bus *lab.Bus) *godbus.Conn {
	d.t.Helper()
	conn, err := godbus.Connect(bus.Address, godbus.WithSignalHandler(godbus.NewSequentialSignalHandler()))
	d.check(err)
	d.t.Cleanup(func() { conn.Close() })
	return conn
}

// own takes a name.
func (d *desktop) own(conn *godbus.Conn, name string) {
	d.t.Helper()
	reply, err := conn.RequestName(name, godbus.NameFlagDoNotQueue)
	if d.check(err); reply != godbus.RequestNameReplyPrimaryOwner {
		d.t.Fatalf("%s has an owner", name)
	}
}

func (d *desktop) saver(name string, active bool) *saver {
	d.t.Helper()
	s := &saver{conn: d.connect(d.session), name: name, active: active}
	d.check(s.conn.Export(s, savers[name], name))
	d.own(s.conn, name)
	return s
}

func (d *desktop) logind(locked bool) *logind {
	d.t.Helper()
	l := &logind{conn: d.connect(d.system), display: "/org/freedesktop/login1/session/_32", locked: locked}
	for _, path := range []godbus.ObjectPath{l.display, userPath()} {
		d.check(l.conn.Export(l, path, properties))
	}
	d.own(l.conn, login)
	return l
}

// watch runs Watch until the end of the test.
func (d *desktop) watch() {
	d.t.Helper()
	conn := d.connect(d.session)
	ctx, stop := context.WithCancel(d.t.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		Watch(ctx, conn, func(locked bool) { d.heard <- locked })
	}()
	d.t.Cleanup(func() {
		stop()
		select {
		case <-ended:
		case <-time.After(patience):
			d.t.Error("Watch does not end with its context")
		}
	})
}

// hears waits for a change.
func (d *desktop) hears(why string, locked bool) {
	d.t.Helper()
	select {
	case got := <-d.heard:
		if got != locked {
			d.t.Fatalf("%s: locked is %v", why, got)
		}
	case <-time.After(patience):
		d.t.Fatalf("%s: nothing is heard, want locked %v", why, locked)
	}
}

// TestSavers hears of screen savers that are activated, end, and begin again.
func TestSavers(t *testing.T) {
	for name := range savers {
		t.Run(name, func(t *testing.T) {
			d := newDesktop(t)
			s := d.saver(name, true)
			d.watch()
			d.hears("it is active at the start", true)
			s.set(d, false)
			d.hears("it is no longer", false)
			s.set(d, true)
			d.hears("it is again", true)
			d.check(s.conn.Close())
			d.hears("it has ended, and cannot say that it is unlocked", false)
			s = d.saver(name, true)
			s.set(d, true)
			d.hears("it has begun again", true)
			s.set(d, false)
			d.hears("and is not active", false)
		})
	}
}

// TestLogind hears of LockedHint.
func TestLogind(t *testing.T) {
	d := newDesktop(t)
	l := d.logind(true)
	d.watch()
	d.hears("it is locked at the start", true)
	l.set(d, false)
	d.hears("it is unlocked", false)
	l.set(d, true)
	d.hears("it is locked", true)
	d.check(l.conn.Close())
	l = d.logind(false)
	d.hears("logind was restarted, and it is no longer locked", false)
	l.set(d, true)
	d.hears("it is locked", true)
}

// TestSessionEnds ends the locked session, which the agent outlives, and begins another.
func TestSessionEnds(t *testing.T) {
	d := newDesktop(t)
	l := d.logind(true)
	d.watch()
	d.hears("it is locked", true)
	l.end(d)
	d.hears("it has ended", false)
	l.begin(d, "/org/freedesktop/login1/session/_33", true)
	d.hears("another one is locked", true)
	l.set(d, false)
	d.hears("it is unlocked", false)
}

// TestLogindLater hears of a logind that starts after the agent.
func TestLogindLater(t *testing.T) {
	d := newDesktop(t)
	d.watch()
	s := d.saver(gnome, false)
	s.set(d, true)
	d.hears("Watch runs", true)
	s.set(d, false)
	d.hears("it is not active", false)
	l := d.logind(false)
	l.set(d, true)
	d.hears("it is locked", true)
}

// TestSystemBusEnds ends the system bus while the session is locked, and starts it again.
func TestSystemBusEnds(t *testing.T) {
	d := newDesktop(t)
	d.logind(true)
	d.watch()
	d.hears("it is locked", true)
	d.check(d.system.Stop())
	d.hears("the bus has ended", false)
	d.check(d.system.Start())
	l := d.logind(true)
	d.hears("it is back, and locked", true)
	l.set(d, false)
	d.hears("it is unlocked", false)
}

// TestBoth: the session is locked until nobody says so.
func TestBoth(t *testing.T) {
	d := newDesktop(t)
	l := d.logind(false)
	s := d.saver(gnome, false)
	d.watch()
	soon(t, "logind is asked", func() bool {
		l.mu.Lock()
		defer l.mu.Unlock()
		return l.asked
	})
	s.set(d, true)
	d.hears("the saver is active", true)
	l.set(d, true)
	s.set(d, false)
	l.set(d, false)
	d.hears("neither says so", false)
	s.set(d, true)
	d.hears("one change was heard, not three", true)
}

func soon(t *testing.T, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !done(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
