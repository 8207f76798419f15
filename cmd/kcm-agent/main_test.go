package main

import (
	"os"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// kcmd and agent return programs, built once.
var kcmd, agentProgram func() (string, error)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(func(l *lab.Lab) {
		kcmd = func() (string, error) { return l.Program("../..") }
		agentProgram = func() (string, error) { return l.Agent("../..") }
	}, m.Run))
}
