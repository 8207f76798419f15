package system

import (
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// program builds the daemon once and returns the path of the binary.
var program = sync.OnceValues(func() (string, error) { return shared.Program("../..") })

// newLab returns a lab of the test's own with a verbose daemon in it, not started.
func newLab(t *testing.T) (*lab.Lab, *lab.Daemon) {
	t.Helper()
	l, d := lab.NewForTest(t, program, lab.EndOfTest)
	d.Verbose = true
	return l, d
}
