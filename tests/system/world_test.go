package system

import (
	"os"
	"strconv"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// patience is how long a test waits for an event. Only a failing test gets there, also
// on a machine with twenty times as much to do as it has processors.
const patience = time.Minute

// A world is the environment of a script.
type world struct {
	lab      *lab.Lab
	realm    *lab.Realm
	kdc      *lab.KDC // the one that clients ask
	daemon   *lab.Daemon
	krb5conf string
	service  string
	monitors map[string]*monitor

	// containers have the path of the socket that is mounted in each.
	containers map[string]string
}

// worldKey is the key of a script's world in its values.
type worldKey struct{}

// A monitor is a lab.Monitor, and the length of its ignored output.
type monitor struct {
	*lab.Monitor
	forgotten int
}

// newWorld makes a realm with a service of the given name and prepares a
// daemon.
func newWorld(name string) (w *world, err error) {
	kcmd, err := program()
	if err != nil {
		return nil, err
	}
	l, err := lab.New()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	w = &world{
		lab:      l,
		daemon:   l.NewDaemon(kcmd),
		krb5conf: l.Path("krb5.conf"),
		service:  "host/" + name + ".kcmd.test",
		monitors: make(map[string]*monitor),

		containers: make(map[string]string),
	}
	w.daemon.Verbose = true
	if w.realm, err = l.NewRealm(); err != nil {
		return nil, err
	}
	if err = w.realm.AddService(w.service); err != nil {
		return nil, err
	}
	if err = w.useKDC(w.realm.KDC); err != nil {
		return nil, err
	}
	return w, nil
}

// newStartedWorld makes a world for a test that is no script, and starts its
// daemon.
func newStartedWorld(t *testing.T, name string) *world {
	t.Helper()
	w := newStoppedWorld(t, name)
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

// newStoppedWorld makes a world whose daemon the test starts.
func newStoppedWorld(t *testing.T, name string) *world {
	t.Helper()
	lab.NeedKerberos(t)
	w, err := newWorld(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.lab.Close)
	t.Cleanup(func() { lab.EndOfTest(t, w.daemon) })
	return w
}

// useKDC changes the KDC of the clients.
func (w *world) useKDC(kdc *lab.KDC) error {
	w.kdc = kdc
	if err := w.realm.WriteConfig(w.roomConf(), kdc.Port, lab.WellKnownSocket); err != nil {
		return err
	}
	return w.realm.WriteConfig(w.krb5conf, kdc.Port, w.daemon.Socket)
}

// roomConf is the krb5.conf of clients with a private /run.
func (w *world) roomConf() string { return w.lab.Path("krb5-room.conf") }

// env returns the variables that clients and scripts have.
func (w *world) env() []string {
	return append(w.daemon.ClientEnv(w.krb5conf),
		"service="+w.service,
		"UID="+strconv.Itoa(os.Getuid()),
		"SOCKET="+w.daemon.Socket,
		"SOCKETS="+w.lab.Dir,
		"DATABASE="+w.daemon.Database,
		"KEYTAB="+w.realm.Keytab,
	)
}
