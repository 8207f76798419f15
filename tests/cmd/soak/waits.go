package main

import (
	"fmt"
	"slices"
	"sync"
	"time"
)

// waits are how long answers took.
type waits struct {
	mu   sync.Mutex
	took []time.Duration
	told int // of them, by recent
}

func (w *waits) add(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.took = append(w.took, d)
}

// recent sums up what was added since it was last called.
func (w *waits) recent() quantiles {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := quantilesOf(w.took[w.told:])
	w.told = len(w.took)
	return q
}

// all sums up what was added since it was last called, and forgets it.
func (w *waits) all() quantiles {
	w.mu.Lock()
	defer w.mu.Unlock()
	q := quantilesOf(w.took)
	w.took, w.told = nil, 0
	return q
}

// quantiles are those of how long answers took.
type quantiles struct {
	times                int
	median, most99, most time.Duration
}

func quantilesOf(took []time.Duration) quantiles {
	n := len(took)
	if n == 0 {
		return quantiles{}
	}
	took = slices.Sorted(slices.Values(took))
	return quantiles{n, took[n/2], took[n*99/100], took[n-1]}
}

func (q quantiles) String() string {
	if q.times == 0 {
		return "-"
	}
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("%.2f/%.1f/%.0f ms", ms(q.median), ms(q.most99), ms(q.most))
}
