package lab

import (
	"strings"
	"testing"
)

// Need skips a test unless the programs, and files with absolute paths, are
// installed. With LAB_REQUIRED it fails, so that a test that stopped running is
// noticed.
func Need(t testing.TB, programs ...string) {
	t.Helper()
	if err := Missing(programs...); err != nil {
		SkipMissing(t, err)
	}
}

// NeedKerberos skips a test with -short and without a Kerberos.
func NeedKerberos(t testing.TB) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: real clients and a KDC are not run")
	}
	Need(t, KerberosPrograms...)
}

// NewBusForTest starts a bus of the test's own that needs no root. It skips the test with
// -short and without a bus.
func NewBusForTest(t testing.TB) *Bus {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no bus is started")
	}
	Need(t, "dbus-daemon")
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	bus, err := l.NewBus(SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	return bus
}

// SkipMissing skips a test that lacks something, or fails it with LAB_REQUIRED.
func SkipMissing(t testing.TB, why ...any) {
	t.Helper()
	if Required() {
		t.Fatal(why...)
	}
	t.Skip(why...)
}

// NewForTest returns a lab of the test's own with a daemon in it, not started. end
// runs at the end of the test: EndOfTest or StopAtEnd.
func NewForTest(t testing.TB, program func() (string, error), end func(testing.TB, *Daemon)) (*Lab, *Daemon) {
	t.Helper()
	kcmd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	l, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	d := l.NewDaemon(kcmd)
	t.Cleanup(func() { end(t, d) })
	return l, d
}

// EndOfTest does what StopAtEnd does, and checks the store.
func EndOfTest(t testing.TB, d *Daemon) {
	stopAtEnd(t, d)
	if err := d.Check(); err != nil {
		t.Errorf("the store at the end of the test: %v", err)
	}
	showLog(t, d)
}

// StopAtEnd stops the daemon, if it is running, and checks its exit status and its
// log. If the test has failed it shows the log.
func StopAtEnd(t testing.TB, d *Daemon) {
	stopAtEnd(t, d)
	showLog(t, d)
}

func stopAtEnd(t testing.TB, d *Daemon) {
	if !d.Running() {
		return
	}
	if err := d.Stop(); err != nil {
		t.Error(err)
	}
}

func showLog(t testing.TB, d *Daemon) {
	log := d.Log()
	for _, trouble := range []string{"WARNING: DATA RACE", "panic:", "fatal error:"} {
		if strings.Contains(log, trouble) {
			t.Errorf("the daemon's log says %q", trouble)
		}
	}
	if t.Failed() {
		t.Logf("the daemon's log:\n%s", log)
	}
}
