// Package system holds the whole-program tests: kcmd as a process, against the
// real clients, a real KDC and a real message bus.
//
// The scripts in testdata/script have what a user sees, and read as documentation;
// script_test.go lists their commands. Tests with many processes at once, or with
// bytes that no client sends, are in Go. tests/lab sets up the environment.
//
// These tests use kcmd as a program, and import only its protocol.
package system

import (
	"flag"
	"os"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// shared is the lab of the whole test binary, with the daemon's binary and the working
// directories of scripts. Each test has a lab of its own for its processes.
var shared *lab.Lab

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(lab.Main(func(l *lab.Lab) { shared = l }, m.Run))
}
