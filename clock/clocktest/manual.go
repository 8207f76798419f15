// Package clocktest has a clock for tests that stands still until a test moves
// it, and one that runs along with the machine until a test moves it away.
//
// It imports clock. Files: manual.go, moved.go.
package clocktest

import (
	"sync"
	"time"

	"kcmd.org/kcmd/clock"
)

// A Manual is a clock.Clock that only a test moves.
type Manual struct {
	mu     sync.Mutex
	now    time.Time
	boot   time.Duration
	timers map[*timer]bool
	sets   int
}

var _ clock.Clock = (*Manual)(nil)

// New returns a clock whose wall clock shows now, an hour after the boot.
func New(now time.Time) *Manual {
	return &Manual{now: now.Round(0), boot: time.Hour, timers: make(map[*timer]bool)}
}

// Now implements clock.Clock.
func (m *Manual) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.now
}

// Boot implements clock.Clock.
func (m *Manual) Boot() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.boot
}

// Advance lets d pass at once, as if the machine had been suspended: both clocks
// go on, and every timer whose time has come fires once.
func (m *Manual) Advance(d time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = m.now.Add(d)
	m.boot += d
	for t := range m.timers {
		t.fireIfDue()
	}
}

// Set sets the wall clock. No time passes on the boot clock, and every timer
// that is set fires.
func (m *Manual) Set(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.now = now.Round(0)
	for t := range m.timers {
		t.fire()
	}
}

// Sets returns how often a timer was set.
func (m *Manual) Sets() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.sets
}

// NewTimer implements clock.Clock.
func (m *Manual) NewTimer() (clock.Timer, error) {
	return &timer{clock: m, c: make(chan struct{}, 1)}, nil
}

// A timer is in the timers of its clock while it is set.
type timer struct {
	clock *Manual
	at    time.Time
	c     chan struct{}
}

func (t *timer) Set(at time.Time) error {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.clock.sets++
	t.at = at
	t.clock.timers[t] = true
	t.fireIfDue()
	return nil
}

func (t *timer) C() <-chan struct{} { return t.c }

func (t *timer) Close() error {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	delete(t.clock.timers, t)
	return nil
}

// fireIfDue fires t if its time has come. t.clock.mu is held.
func (t *timer) fireIfDue() {
	if !t.at.After(t.clock.now) {
		t.fire()
	}
}

// fire makes t fire. t.clock.mu is held.
func (t *timer) fire() {
	delete(t.clock.timers, t)
	select {
	case t.c <- struct{}{}:
	default: // the last value was not received yet
	}
}
