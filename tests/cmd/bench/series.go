package main

import (
	"math"
	"slices"
	"time"
)

// A series are measurements of one thing, in any order until it is sorted.
type series []time.Duration

// quantile returns the smallest measurement that is not exceeded by the part q
// of them: 0.5 gives the median, 0.99 the 99th percentile. There must be one.
func (s series) quantile(q float64) time.Duration {
	sorted := slices.Sorted(slices.Values(s))
	i := int(math.Ceil(q*float64(len(sorted)))) - 1
	return sorted[min(max(i, 0), len(sorted)-1)]
}

func (s series) median() time.Duration { return s.quantile(0.5) }
