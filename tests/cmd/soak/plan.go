package main

import (
	"fmt"
	"os"
	"time"
)

// A plan says how long the phases of a soak are. They come in this order: warm
// up, quiet, steady, quiet, restarts.
type plan struct {
	warmUp   time.Duration // load, until everything has been used once
	quiet    time.Duration // no load, at each of the two quiet points
	steady   time.Duration // load, without a restart
	restarts time.Duration // load, with a restart now and then
	memory   bool          // the quiet points are long enough to compare memory
}

const (
	// shortest is the soak in which every actor gets to do all it does.
	shortest = 2 * time.Minute

	// untilDropped is how long it takes a collection that nobody uses to leave the
	// daemon's memory.
	untilDropped = 2*time.Minute + release
	// fewSeconds is how long it takes connections to be gone from both ends.
	fewSeconds = 2*time.Second + release
	// memoryFrom is from when on there is time to wait until collections are
	// dropped, twice.
	memoryFrom = 10 * time.Minute

	longestWarmUp = 5 * time.Minute

	// rehearsal is how long it takes every actor to do something.
	rehearsal = 8 * time.Second
)

func newPlan(total time.Duration) (plan, error) {
	if total < shortest {
		return plan{}, fmt.Errorf("cannot make a plan for %v: it must be %v at least", total, shortest)
	}
	p := plan{quiet: fewSeconds}
	if total >= memoryFrom && !raceDaemon() {
		p.quiet, p.memory = untilDropped, true
	}
	load := total - 2*p.quiet - rehearsal - fewSeconds
	p.warmUp = min(load/6, longestWarmUp)
	p.restarts = load / 4
	p.steady = load - p.warmUp - p.restarts
	return p, nil
}

func (p plan) String() string {
	s := fmt.Sprintf("Warming up for %v, then %v without a restart, then %v with restarts, and two quiet points of %v.",
		round(p.warmUp), round(p.steady), round(p.restarts), round(p.quiet))
	switch {
	case raceDaemon():
		s += "\nIt cannot tell about memory: what the race detector has taken it does not give back."
	case !p.memory:
		s += fmt.Sprintf("\nThat is too short to tell about memory (%v would do).", memoryFrom)
	}
	return s
}

// raceDaemon tells whether the daemon has the race detector in it.
func raceDaemon() bool { return os.Getenv("LAB_RACE") == "1" }

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
