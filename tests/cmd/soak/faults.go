package main

import (
	"fmt"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// faults are what was lost, wrong or leaked, or was not done at all.
type faults struct {
	mu     sync.Mutex
	start  time.Time
	count  int
	silent bool
}

// silenceOnSignal has nothing told any more once the soak is interrupted: then
// the daemon ends before its clients, which is no fault.
func (f *faults) silenceOnSignal() {
	c := make(chan os.Signal, 1)
	signal.Notify(c, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	go func() {
		<-c
		f.mu.Lock()
		defer f.mu.Unlock()
		f.silent = true
	}()
}

// shown is how many faults are told: the first ones say what is wrong.
const shown = 50

func (f *faults) add(who string, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	if f.count <= shown && !f.silent {
		fmt.Printf("%6s FAULT %s: %v\n", round(time.Since(f.start)), who, err)
	}
}

func (f *faults) total() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}
