// Package system holds the whole-program tests: kcmd as a process, against the
// real clients, a real KDC and a real message bus.
//
// What a user sees is told by the scripts in testdata/script, which read as
// documentation; script_test.go explains their words. What needs many
// processes at once, or bytes that no client sends, is in Go. The rooms next
// to it: lab sets up the real parts, story tells the product to a reader (the
// program behind tests/try), soak has it run for an hour (tests/run --soak).
//
// These tests know kcmd from outside only and import nothing of it.
package system

import (
	"flag"
	"os"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// shared is the lab of the whole test binary. It holds the daemon's binary
// and the scripts' working directories; whatever a test starts is in a lab of
// its own.
var shared *lab.Lab

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(lab.Main(func(l *lab.Lab) { shared = l }, m.Run))
}
