package link

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/dbus/client"
	"kcmd.org/kcmd/tests/lab"
)

// kcmd returns the program, built once.
var kcmd func() (string, error)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(func(l *lab.Lab) {
		kcmd = func() (string, error) { return l.Program("../../..") }
	}, m.Run))
}

const patience = 30 * time.Second

// A machine has two buses, each with a kcmd of its own, which does not run at first.
type machine struct {
	t                  *testing.T
	system, session    *lab.Daemon
	realm              *lab.Realm
	states             chan State
	ended              chan error
	systemBus, userBus *lab.Bus
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no bus is run")
	}
	lab.Need(t, "dbus-daemon")
	lab.NeedKerberos(t)
	m := &machine{t: t, states: make(chan State, 100), ended: make(chan error, 1)}
	m.system, m.systemBus = m.daemon("DBUS_SYSTEM_BUS_ADDRESS")
	m.session, m.userBus = m.daemon("DBUS_SESSION_BUS_ADDRESS")
	return m
}

// daemon makes a bus, which a variable names.
func (m *machine) daemon(variable string) (*lab.Daemon, *lab.Bus) {
	m.t.Helper()
	l, d := lab.NewForTest(m.t, kcmd, lab.EndOfTest)
	bus, err := l.NewBus(lab.SessionBus, "") // one that needs no root
	m.check(err)
	d.Bus = bus
	m.t.Setenv(variable, bus.Address)
	if m.realm == nil {
		m.realm, err = l.NewRealm()
		m.check(err)
	}
	m.check(m.realm.WriteConfig(l.Path("krb5.conf"), m.realm.KDC.Port, d.Socket))
	return d, bus
}

func (m *machine) check(err error) {
	m.t.Helper()
	if err != nil {
		m.t.Fatal(err)
	}
}

// follow runs Follow until the end of the test.
func (m *machine) follow() {
	ctx, stop := context.WithCancel(m.t.Context())
	go func() {
		m.ended <- Follow(ctx, func(s State) {
			select {
			case m.states <- s:
			case <-ctx.Done():
			}
		})
	}()
	m.t.Cleanup(stop)
}

// await waits for a state with kcmd on this bus, "" for none, and these principals.
func (m *machine) await(what, bus string, principals ...string) State {
	m.t.Helper()
	var s State
	for deadline := time.After(patience); ; {
		select {
		case s = <-m.states:
			at, have := "", []string(nil)
			if s.Client != nil {
				at = s.Client.Bus()
			}
			for _, c := range s.Caches {
				have = append(have, c.ClientPrincipal)
			}
			if at == bus && slices.Equal(have, principals) {
				return s
			}
		case err := <-m.ended:
			m.t.Fatalf("%s: Follow has ended: %v", what, err)
		case <-deadline:
			m.t.Fatalf("%s: the last state is %+v", what, s)
		}
	}
}

// kinit gets a ticket for a principal, in a cache of its own.
func (m *machine) kinit(d *lab.Daemon, name string) {
	m.t.Helper()
	cmd := exec.Command("kinit", name)
	cmd.Env = d.ClientEnv(filepath.Join(filepath.Dir(d.Socket), "krb5.conf"))
	cmd.Stdin = strings.NewReader(lab.Password(name) + "\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		m.t.Fatalf("kinit %s: %v\n%s", name, err, out)
	}
}

// TestBuses: the system bus wins as long as kcmd is there, and the session bus is used
// otherwise, also while there is no system bus.
func TestBuses(t *testing.T) {
	m := newMachine(t)
	m.follow()
	m.await("nothing runs", "")
	m.check(m.session.Start("--renew", "no"))
	m.await("the session bus", "session")
	m.check(m.system.Start("--renew", "no"))
	m.await("the system bus wins", "system")
	m.check(m.system.Stop())
	m.await("kcmd has left the system bus", "session")

	m.check(m.systemBus.Stop())
	m.await("no system bus", "session")
	m.kinit(m.session, "alice")
	m.await("a ticket meanwhile", "session", "alice@"+lab.RealmName)
	m.check(m.systemBus.Start())
	m.await("the system bus is back, without kcmd", "session", "alice@"+lab.RealmName)
	m.check(m.system.Start("--renew", "no"))
	m.await("the system bus wins again", "system")

	m.check(m.system.Stop())
	m.await("kcmd has left again", "session", "alice@"+lab.RealmName)
	m.check(m.session.Stop())
	m.await("kcmd is nowhere", "")
}

// TestEnd: without a system bus Follow ends with the session bus, and at once if there is none.
func TestEnd(t *testing.T) {
	m := newMachine(t)
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/nonexistent")
	m.follow()
	m.await("nothing runs", "")
	m.check(m.userBus.Stop())
	if err := <-m.ended; err == nil || errors.Is(err, client.ErrNotRunning) {
		t.Errorf("the end of the session bus: %v", err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nonexistent")
	if err := Follow(t.Context(), func(State) {}); !errors.Is(err, client.ErrNotRunning) {
		t.Errorf("without a bus: %v", err)
	}
}

// TestChanges follows caches as they come, change, fail and go.
func TestChanges(t *testing.T) {
	m := newMachine(t)
	m.check(m.session.Start("--renew", "no"))
	m.follow()
	alice, bob := "alice@"+lab.RealmName, "bob@"+lab.RealmName
	m.await("no caches", "session")
	m.kinit(m.session, "alice")
	m.await("alice", "session", alice)
	m.kinit(m.session, "bob")
	s := m.await("bob, the default", "session", bob, alice)
	if !s.Caches[0].IsDefault || s.Caches[1].IsDefault || s.Caches[0].EndTime.Before(time.Now()) {
		t.Errorf("the caches are %+v", s.Caches)
	}
	m.check(s.Client.SwitchTo(t.Context(), s.Caches[1].Path))
	s = m.await("alice, the default", "session", alice, bob)
	m.check(s.Client.Destroy(t.Context(), s.Caches[1].Path))
	s = m.await("alice alone", "session", alice)
	if s.Own != client.ObjectPath(fmt.Sprintf("/org/kcmd/KCM1/user/%d", os.Getuid())) || len(s.Features) == 0 {
		t.Errorf("the collection is %s, the features are %v", s.Own, s.Features)
	}
}
