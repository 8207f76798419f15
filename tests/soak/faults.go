package main

import (
	"fmt"
	"sync"
	"time"
)

// faults are what was lost, wrong or leaked, or was not done at all.
type faults struct {
	mu    sync.Mutex
	start time.Time
	count int
}

// shown is how many faults are told: the first ones say what is wrong.
const shown = 50

func (f *faults) add(who string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.count <= shown {
		fmt.Printf("%6s FAULT %s: %v\n", round(time.Since(f.start)), who, err)
	}
}

func (f *faults) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}
