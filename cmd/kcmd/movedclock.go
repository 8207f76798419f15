//go:build movedclock

package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/clock/clocktest"
)

// A test moves the clock of a kcmd that is built with the tag movedclock, by lines to the
// socket that this variable names: "suspend DURATION" or "step DURATION". Each has the
// answer "ok". Other builds refuse the variable.
const clockVariable = "KCMD_MOVED_CLOCK"

var clockVariables = []string{clockVariable}

func newClock() (clock.Clock, error) {
	path := os.Getenv(clockVariable)
	if path == "" {
		return clock.System{}, nil
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	m := clocktest.NewMoved()
	go func() {
		for c, err := l.Accept(); err == nil; c, err = l.Accept() {
			for lines := bufio.NewScanner(c); lines.Scan(); {
				answer := "ok"
				if err := move(m, lines.Text()); err != nil {
					answer = err.Error()
				}
				fmt.Fprintln(c, answer)
			}
			c.Close()
		}
	}()
	return m, nil
}

func move(m *clocktest.Moved, line string) error {
	what, value, _ := strings.Cut(line, " ")
	d, err := time.ParseDuration(value)
	switch {
	case err != nil:
		return err
	case what == "suspend":
		return m.Suspend(d)
	case what == "step":
		return m.Step(d)
	}
	return fmt.Errorf("%q is not allowed; allowed: suspend, step", what)
}
