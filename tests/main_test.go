// Package tests holds the whole-program tests: kcmd as a process, against the
// real clients, a real KDC and a real message bus.
//
// What a user sees is told by the scripts in testdata/script, which read as
// documentation; script_test.go explains their words. What needs many
// processes at once, or bytes that no client sends, is in Go. The rooms next
// to it: lab sets up the real parts, story tells the product to a reader (the
// program behind tests/try).
//
// These tests know kcmd from outside only and import nothing of it.
package tests

import (
	"flag"
	"fmt"
	"os"
	"syscall"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// shared is the lab of the whole test binary. It holds the daemon's binary
// and the scripts' working directories; whatever a test starts is in a lab of
// its own.
var shared *lab.Lab

func TestMain(m *testing.M) {
	flag.Parse()
	lab.CloseOnSignal()
	os.Exit(run(m))
}

func run(m *testing.M) int {
	if err := lab.UseSystemPath(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	// Files of the lab have the mode that they are made with, whatever the
	// user's habits are: other users read them.
	syscall.Umask(0o022)
	var err error
	if shared, err = lab.New(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer shared.Close()
	return m.Run()
}
