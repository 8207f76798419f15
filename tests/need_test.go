package tests

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// required tells whether what is missing on the machine fails a test instead
// of skipping it. tests/run sets it once it has installed everything, so that
// a test that quietly stopped running is noticed.
func required() bool { return os.Getenv("LAB_REQUIRED") == "1" }

// need skips the test unless the programs are installed.
func need(t *testing.T, programs ...string) {
	t.Helper()
	if err := lab.Missing(programs...); err != nil {
		if required() {
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

// program builds the daemon once and returns the path of the binary. With
// LAB_RACE=1 it has the race detector in it, whose findings make it exit with
// another code than 0. LAB_KCMD names a binary to be tested in its place, such
// as the one that is installed.
var program = sync.OnceValues(func() (string, error) {
	if path := os.Getenv("LAB_KCMD"); path != "" {
		return filepath.Abs(path)
	}
	if err := lookAtSources(); err != nil {
		return "", err
	}
	return shared.Build(os.Getenv("LAB_RACE") == "1")
})

// lookAtSources looks at every directory of the module. The go command takes
// the result of a test from its cache until a file changes that the test has
// looked at; what another process has built the daemon from it would not see.
func lookAtSources() error {
	return filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}

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
// should and has not misbehaved. If the test has failed it shows what the
// daemon said.
func checkEnd(t testing.TB, d *lab.Daemon) {
	if d.Running() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
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
