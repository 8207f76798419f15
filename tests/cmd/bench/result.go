package main

import (
	"encoding/json"
	"errors"
	"math"
	"slices"
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

// MarshalJSON writes figures of a series that is not empty.
func (s series) MarshalJSON() ([]byte, error) {
	return json.Marshal(map[string]any{
		"median_us": microseconds(s.median()), "p99_us": microseconds(s.quantile(0.99)),
		"least_us": microseconds(slices.Min(s)), "samples": len(s),
	})
}

func microseconds(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }

// A failure is why something was not measured, or not all of it.
type failure struct{ error }

// MarshalText returns the error message.
func (f failure) MarshalText() ([]byte, error) { return []byte(f.Error()), nil }

func failed(err error) failure { return failure{err} }

var (
	// errSlow is wrapped by failures for lack of time.
	errSlow = errors.New("too slow")
	// errNot is wrapped by failures of what a peer does not support.
	errNot = errors.New("not possible")
)

// Circumstances are what a measurement depends on.
type circumstances struct {
	Commands bool `json:"commands,omitempty"` // whole programs, not calls of libkrb5
	Tickets  int  `json:"tickets"`            // in the cache
	Bytes    int  `json:"bytes"`              // of each ticket
	Clients  int  `json:"clients"`            // at once
	Users    int  `json:"users"`              // other users with stored tickets
}

// A key names a result.
type key struct {
	circumstances
	Step string `json:"step"`
	Peer string `json:"peer"`
}

// A result is the time that one peer takes for one step.
type result struct {
	key
	Took    series  `json:"times,omitempty"`
	Turns   series  `json:"turns,omitempty"` // their medians
	Memory  int64   `json:"memory_bytes,omitempty"`
	Failure failure `json:"failure,omitzero"`
}

// add adds the measurements of one turn.
func (r *result) add(took series) {
	if len(took) > 0 {
		r.Took = append(r.Took, took...)
		r.Turns = append(r.Turns, took.median())
	}
}

// quietest is the median of the quietest turn. Other load on the machine, and the
// choice of processors, make a turn longer and never shorter, so that ratios are
// of quietest turns.
func (r *result) quietest() time.Duration { return slices.Min(r.Turns) }

// results are all results, in the order in which they were begun.
type results []*result

func (l *results) begin(k key) *result {
	r := &result{key: k}
	*l = append(*l, r)
	return r
}

// find returns a result, or nil.
func (l results) find(k key) *result {
	i := slices.IndexFunc(l, func(r *result) bool { return r.key == k })
	if i < 0 {
		return nil
	}
	return l[i]
}

// quietest returns that of a result, and false if there are no measurements.
func (l results) quietest(k key) (time.Duration, bool) {
	if r := l.find(k); r != nil && len(r.Turns) > 0 {
		return r.quietest(), true
	}
	return 0, false
}
