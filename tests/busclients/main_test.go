// Package busclients tries kcmd with the D-Bus clients that people use: busctl
// and gdbus, programs in Python and C over GLib and over sd-bus, a shell script,
// and the examples of org.kcmd.KCM1(5) as they are printed there. Each test has
// the daemon as a process on a private bus, and tickets of a real KDC.
//
// These tests know kcmd from outside only and import nothing of it but the lab.
package busclients

import (
	"flag"
	"os"
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// shared is the lab of the whole test binary, with the daemon's binary and the
// KDC. What else a test starts is in a lab of its own.
var shared *lab.Lab

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(lab.Main(func(l *lab.Lab) { shared = l }, m.Run))
}

// program builds the daemon once and returns the path of the binary.
var program = sync.OnceValues(func() (string, error) { return shared.Program("../..") })

// realm starts a KDC once.
var realm = sync.OnceValues(func() (*lab.Realm, error) { return shared.NewRealm() })
