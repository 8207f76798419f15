package main

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A tally counts what was done.
type tally struct {
	requests atomic.Int64 // KCM requests of our own clients
	waited   waits        // of the witness

	mu    sync.Mutex
	phase string
	lines []string // of the table in the end
}

func (t *tally) enter(phase string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.phase = phase
}

func (t *tally) current() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.phase
}

// note adds a line to the table.
func (t *tally) note(what, format string, args ...any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.lines = append(t.lines, fmt.Sprintf("  %-32s %s", what, fmt.Sprintf(format, args...)))
}

// observe prints a line a minute until the function that it returns is called.
func (s *stage) observe() (stop func()) {
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		every := time.NewTicker(time.Minute)
		defer every.Stop()
		for {
			select {
			case <-end:
				return
			case <-every.C:
				s.report()
			}
		}
	}()
	return func() {
		close(end)
		<-done
	}
}

// report prints how things are.
func (s *stage) report() {
	f, err := lookAt(int(s.life.pid.Load()), s.life.daemon.Database)
	state := f.String()
	if err != nil {
		state = "kcmd is being restarted"
	}
	fmt.Printf("%6s %-8s %s; %d requests, witness %v; %d faults\n", round(time.Since(s.faults.start)), s.tally.current(),
		state, s.tally.requests.Load(), s.tally.waited.take(), s.faults.total())
}
