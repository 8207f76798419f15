package main

import (
	"errors"
	"slices"
	"time"
)

// circumstances are those in which something is measured.
type circumstances struct {
	By      string `json:"by"`      // calls of libkrb5, or frames
	Tickets int    `json:"tickets"` // in the cache
	Bytes   int    `json:"bytes"`   // of each
	Clients int    `json:"clients"` // at once
	Users   int    `json:"users"`   // others who have something stored
}

// By what something is measured.
const (
	byCalls  = "calls"
	byFrames = "frames"
)

// A result is what one peer took for one step.
type result struct {
	circumstances
	Step string
	Peer string
	Took series
	// Turns are the medians of the turns.
	Turns series
	// Server and Client are the processor time of all calls together, for steps
	// of which all is measured.
	Server, Client time.Duration
	// Failure is why nothing or not all was measured, nil if all was. It wraps
	// errSlow if that is for lack of time, errNot if it cannot be.
	Failure error
	// Remark is what is to be known about what was measured.
	Remark string
}

// note is what a reader has to know about a result, "" if nothing.
func (r *result) note() string {
	switch {
	case r.Failure != nil && !errors.Is(r.Failure, errNot):
		return r.Failure.Error()
	case len(r.Took) > 0:
		return r.Remark
	}
	return ""
}

// slow tells whether something was not measured for lack of time.
func (r *result) slow() bool { return errors.Is(r.Failure, errSlow) }

// pure tells whether all that was done was measured, so that the processor time
// belongs to it.
func (r *result) pure() bool {
	if r.By != byCalls {
		return r.By == byFrames
	}
	i := slices.IndexFunc(steps, func(s step) bool { return s.name == r.Step })
	return i >= 0 && steps[i].pure
}

// results are all results, in the order in which they were begun.
type results struct {
	list []*result
}

// add begins a result.
func (r *results) add(c circumstances, step, peer string) *result {
	res := &result{circumstances: c, Step: step, Peer: peer}
	r.list = append(r.list, res)
	return res
}

// find returns a result that has measurements, or nil.
func (r *results) find(c circumstances, step, peer string) *result {
	for _, res := range r.list {
		if res.circumstances == c && res.Step == step && res.Peer == peer && len(res.Took) > 0 {
			return res
		}
	}
	return nil
}

// turn adds what came of one turn.
func (r *result) turn(took series) {
	if len(took) > 0 {
		r.Took = append(r.Took, took...)
		r.Turns = append(r.Turns, took.median())
	}
}

// quiet is the median of the quietest turn: what the rest of the machine does, and
// on which processors client and server happen to be, makes turns longer and never
// shorter. It is what ratios are made of.
func (r *result) quiet() time.Duration { return slices.Min(r.Turns) }

// quiet returns that of a result, false if there is none.
func (r *results) quiet(c circumstances, step, peer string) (time.Duration, bool) {
	res := r.find(c, step, peer)
	if res == nil {
		return 0, false
	}
	return res.quiet(), true
}

// first returns a result, with or without measurements, or nil.
func (r *results) first(c circumstances, step, peer string) *result {
	for _, res := range r.list {
		if res.circumstances == c && res.Step == step && res.Peer == peer {
			return res
		}
	}
	return nil
}

// stepsOf returns the steps that were done in these circumstances, in order.
func (r *results) stepsOf(c circumstances) []string {
	var names []string
	for _, res := range r.list {
		if res.circumstances == c && !slices.Contains(names, res.Step) {
			names = append(names, res.Step)
		}
	}
	return names
}
