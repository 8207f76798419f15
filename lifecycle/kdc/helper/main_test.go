package helper_test

import (
	"os"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// build returns kcmd, built once.
var build func() (string, error)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(func(l *lab.Lab) {
		build = func() (string, error) { return l.Program("../../..") }
	}, m.Run))
}
