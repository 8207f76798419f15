// Package durability tries what the store promises: what was answered is there
// when the daemon was killed, when the power was cut, and when the disk was
// full, failed or was read-only for a while; and of what was asked last, the
// whole or nothing.
//
// Clients ask through the KCM socket and know what must be stored (model_test.go
// and client_test.go). What is stored is asked through a socket as well, of the
// daemon or of a server over the files that are left, which the store's own
// check has found whole (inspect_test.go).
package durability

import (
	"flag"
	"os"
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// shared is the lab of the whole test binary, with the daemon's binary. What
// else a test starts is in a lab of its own.
var shared *lab.Lab

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == carelessWord {
		os.Exit(careless(os.Args[2:]))
	}
	flag.Parse()
	os.Exit(lab.Main(func(l *lab.Lab) { shared = l }, m.Run))
}

// program builds the daemon once and returns the path of the binary.
var program = sync.OnceValues(func() (string, error) { return shared.Program("../..") })

// needRoot skips the test for others than root, and with -short.
func needRoot(t *testing.T, why string) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: nothing that needs root is run")
	}
	if os.Getuid() != 0 {
		t.Skip("only root can " + why)
	}
}
