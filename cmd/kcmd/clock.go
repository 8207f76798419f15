//go:build !movedclock

package main

import "kcmd.org/kcmd/clock"

// newClock returns the clock of the machine.
func newClock() (clock.Clock, error) { return clock.System{}, nil }

// clockVariables are the variables of the clock: none.
var clockVariables []string
