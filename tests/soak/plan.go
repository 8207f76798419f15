package main

import (
	"fmt"
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

	// A collection leaves the daemon's memory after a minute or two unused. Then
	// the runtime has to collect it and give it back.
	untilDropped = 150 * time.Second
	// fewSeconds is how long connections take to be gone from both ends.
	fewSeconds = 4 * time.Second
	// memoryFrom is from when on there is time to wait until collections are
	// dropped, twice.
	memoryFrom = 10 * time.Minute

	longestWarmUp = 5 * time.Minute
)

func newPlan(total time.Duration) (plan, error) {
	if total < shortest {
		return plan{}, fmt.Errorf("cannot make a plan for %v: it must be %v at least", total, shortest)
	}
	p := plan{quiet: fewSeconds}
	if total >= memoryFrom {
		p.quiet, p.memory = untilDropped, true
	}
	load := total - 2*p.quiet
	p.warmUp = min(load/6, longestWarmUp)
	p.restarts = load / 4
	p.steady = load - p.warmUp - p.restarts
	return p, nil
}

func (p plan) String() string {
	s := fmt.Sprintf("Warming up for %v, then %v without a restart, then %v with restarts, and two quiet points of %v.",
		round(p.warmUp), round(p.steady), round(p.restarts), round(p.quiet))
	if !p.memory {
		s += fmt.Sprintf("\nThat is too short to tell about memory (%v would do).", memoryFrom)
	}
	return s
}

func round(d time.Duration) time.Duration { return d.Round(time.Second) }
