package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"
)

// A series holds measurements of one thing.
type series []time.Duration

// quantile returns the smallest measurement that the part q of them does not
// exceed: 0.5 gives the median, 0.99 the 99th percentile. The series must not be
// empty.
func (s series) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func (s series) median() time.Duration { return s.quantile(0.5) }

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

var (
	// errSlow is wrapped by failures for lack of time.
	errSlow = errors.New("too slow")
	// errNot is wrapped by failures of what a peer does not support.
	errNot = errors.New("not possible")
)

// Circumstances are what the time of a step depends on.
type circumstances struct {
	Tickets int // in the cache
	Caches  int // of whole commands; otherwise 0
	Clients int // at once
	Users   int // other users with stored tickets
}

// String describes the circumstances.
func (c circumstances) String() string {
	if c.Caches > 0 {
		return fmt.Sprintf("whole commands, caches: %d", c.Caches)
	}
	s := thousands(c.Tickets) + " tickets"
	if c.Clients > 1 {
		s += fmt.Sprintf(", %d clients at once", c.Clients)
	}
	if c.Users > 0 {
		s += fmt.Sprintf(", %s other users", thousands(c.Users))
	}
	return s
}

// A key names a result.
type key struct {
	circumstances
	Step string
	Peer string
}

// A result is the time that one peer takes for one step.
type result struct {
	key
	Took    series  // in turns on any processor
	Turns   series  // the medians of turns on one processor, or of all with several clients
	Rate    float64 // steps a second of all clients, in the best turn
	failure error   // why it was not measured, or not all of it
}

// add adds the measurements of one turn, during which client and server had one processor
// or were free to use others.
func (r *result) add(took series, processor int) {
	if len(took) == 0 {
		return
	}
	if processor == anyProcessor {
		r.Took = append(r.Took, took...)
	}
	if processor != anyProcessor || r.Clients > 1 {
		r.Turns = append(r.Turns, took.median())
	}
}

// results are all results, in the order in which they were begun.
type results []*result

// find returns a result, or nil.
func (l results) find(k key) *result {
	i := slices.IndexFunc(l, func(r *result) bool { return r.key == k })
	if i < 0 {
		return nil
	}
	return l[i]
}

// quietest returns the median of the quietest turn of a result, and false if there are
// no measurements. Other load on the machine makes a turn longer and never shorter, so
// that ratios are of quietest turns. On one processor a turn does not depend on how
// long the machine takes to wake another one up.
func (l results) quietest(k key) (time.Duration, bool) {
	if r := l.find(k); r != nil && len(r.Turns) > 0 {
		return slices.Min(r.Turns), true
	}
	return 0, false
}

// A figure is what else was measured of a peer: a time, a size or a number.
type figure struct {
	Peer    string
	What    string
	Unit    string // "us", "bytes", or "" for a number
	Value   float64
	failure error // why it was not measured, or not all of it
}

func (f *figure) String() string {
	switch {
	case f.failure != nil:
		return "fails"
	case f.Unit == "bytes":
		return bytesText(int64(f.Value))
	case f.Unit == "us" && f.Value >= 10_000:
		return fmt.Sprintf("%.0f ms", f.Value/1000)
	case f.Unit == "us":
		return digits(f.Value) + " us"
	}
	return strconv.FormatFloat(f.Value, 'f', 2, 64)
}

// add keeps a figure of a peer.
func (b *bench) add(peer, what, unit string, value float64) {
	b.figures = append(b.figures, &figure{Peer: peer, What: what, Unit: unit, Value: value})
}

// addMemory keeps the memory of a peer's process.
func (b *bench) addMemory(peer, what string, pid int) error {
	n, err := memoryOf(pid)
	if err == nil {
		b.add(peer, what, "bytes", float64(n))
	}
	return err
}

// addFailure keeps an error in place of a figure.
func (b *bench) addFailure(peer, what string, err error) {
	if err != nil {
		b.figures = append(b.figures, &figure{Peer: peer, What: what, failure: err})
	}
}

// figure returns a figure, or nil.
func (b *bench) figure(peer, what string) *figure {
	i := slices.IndexFunc(b.figures, func(f *figure) bool { return f.Peer == peer && f.What == what })
	if i < 0 {
		return nil
	}
	return b.figures[i]
}
