package main

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
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

// Circumstances are what the time of a step depends on. Figures have none.
type circumstances struct {
	Tickets int // in the cache
	Caches  int // of whole commands; otherwise 0
	Clients int // at once
	Users   int // other users with stored tickets
}

// usual are the circumstances of one client with so many tickets.
func usual(tickets int) circumstances { return circumstances{Tickets: tickets, Clients: 1} }

// withCaches are the circumstances of a command.
func withCaches(n int) circumstances { return circumstances{Caches: n, Clients: 1} }

// atOnce are the circumstances of several clients.
func (c circumstances) atOnce(clients int) circumstances {
	c.Clients = clients
	return c
}

// beside are the circumstances with other users.
func (c circumstances) beside(users int) circumstances {
	c.Users = users
	return c
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
	What string // a step or a figure
	Peer string
}

// A result is the time that one peer takes for one step, or another figure of it.
type result struct {
	key
	Took    series  // in turns on any processor
	Turns   series  // the medians of turns on one processor, or of all with several clients
	Rate    float64 // steps a second of all clients, in the best turn
	Unit    string  // of a figure: "us", "bytes", or "" for a number
	Figure  float64
	failure error // why it was not measured, or not all of it
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

// value returns the figure, or the microseconds of the median of the quietest turn; 0
// if there are no measurements. Other load on the machine makes a turn longer and never
// shorter, so that ratios are of quietest turns. On one processor a turn does not depend
// on how long the machine takes to wake another one up.
func (r *result) value() float64 {
	switch {
	case r == nil:
		return 0
	case len(r.Turns) > 0:
		return microseconds(slices.Min(r.Turns))
	}
	return r.Figure
}

// String is the cell of a table.
func (r *result) String() string {
	switch {
	case r == nil || errors.Is(r.failure, errNot):
		return "-"
	case len(r.Took)+len(r.Turns) > 0:
		var cell []string
		if len(r.Turns) > 0 && r.Clients == 1 {
			cell = append(cell, digits(r.value()))
		}
		if len(r.Took) > 0 {
			cell = append(cell, micros(r.Took.median())+"/"+micros(r.Took.quantile(0.99)))
		}
		return strings.Join(cell, "; ")
	case errors.Is(r.failure, errSlow):
		return "too slow"
	case r.failure != nil:
		return "fails"
	case r.circumstances != circumstances{}:
		return "-"
	}
	return inUnit(r.Figure, r.Unit)
}

func inUnit(x float64, unit string) string {
	switch {
	case unit == "bytes":
		return bytesText(int64(x))
	case unit == "us" && x >= 10_000:
		return fmt.Sprintf("%.0f ms", x/1000)
	case unit == "us":
		return digits(x) + " us"
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
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

// add keeps a figure of a peer.
func (l *results) add(peer, what, unit string, value float64) {
	*l = append(*l, &result{key: key{What: what, Peer: peer}, Unit: unit, Figure: value})
}

// addFailure keeps an error in place of a figure.
func (l *results) addFailure(peer, what string, err error) {
	if err != nil {
		*l = append(*l, &result{key: key{What: what, Peer: peer}, failure: err})
	}
}

func thousands(n int) string {
	s := strconv.Itoa(n)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func bytesText(n int64) string {
	for i, name := range []string{"MiB", "KiB"} {
		size := int64(1) << (20 - 10*i)
		switch {
		case n >= 10*size:
			return fmt.Sprintf("%d %s", n/size, name)
		case n >= size:
			return fmt.Sprintf("%.1f %s", float64(n)/float64(size), name)
		}
	}
	return fmt.Sprintf("%d bytes", n)
}

// digits writes a number with three significant digits, or all of a larger one.
func digits(x float64) string {
	switch {
	case x >= 100:
		return thousands(int(x + 0.5))
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	case x >= 0.1:
		return strconv.FormatFloat(x, 'f', 2, 64)
	}
	return strconv.FormatFloat(x, 'g', 2, 64)
}

func micros(d time.Duration) string { return digits(microseconds(d)) }
