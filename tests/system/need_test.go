package system

import (
	"strings"
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// need skips the test unless the programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if err := lab.Missing(programs...); err != nil {
		if lab.Required() {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// needKerberos skips the test with -short and where there is no Kerberos.
func needKerberos(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: real clients and a KDC are not run")
	}
	need(t, lab.KerberosPrograms...)
}

// program builds the daemon once and returns the path of the binary.
var program = sync.OnceValues(func() (string, error) { return shared.Program("../..") })

// newLab returns a lab of the test's own with a daemon in it, not started.
func newLab(t *testing.T) (*lab.Lab, *lab.Daemon) {
	t.Helper()
	kcmd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	d := l.NewDaemon(kcmd)
	d.Verbose = true
	t.Cleanup(func() { checkEnd(t, d) })
	return l, d
}

// checkEnd ends the daemon, if it still runs, and checks that it ends as it
// should, has not misbehaved, and has left a store that is whole. If the test
// has failed it shows what the daemon said.
func checkEnd(t testing.TB, d *lab.Daemon) {
	if d.Running() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}
	if err := d.Check(); err != nil {
		t.Errorf("the store at the end of the test: %v", err)
	}
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
