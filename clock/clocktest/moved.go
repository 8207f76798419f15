package clocktest

import (
	"sync"
	"time"

	"kcmd.org/kcmd/clock"
)

// A Moved is the clock of the machine, from which a test moves it away.
type Moved struct {
	mu     sync.Mutex
	wall   time.Duration // ahead of the machine's wall clock
	boot   time.Duration // ahead of the machine's boot clock
	timers map[*movedTimer]bool
}

var _ clock.Clock = (*Moved)(nil)

// NewMoved returns a clock that shows the time of the machine.
func NewMoved() *Moved { return &Moved{timers: make(map[*movedTimer]bool)} }

// Now implements clock.Clock.
func (m *Moved) Now() time.Time {
	m.mu.Lock()
	defer m.mu.Unlock()
	return clock.System{}.Now().Add(m.wall)
}

// Boot implements clock.Clock.
func (m *Moved) Boot() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return clock.System{}.Boot() + m.boot
}

// Suspend moves both clocks forward, as if the machine had been suspended: timers whose
// time has come fire.
func (m *Moved) Suspend(d time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall += d
	m.boot += d
	for t := range m.timers {
		if err := t.arm(); err != nil {
			return err
		}
	}
	return nil
}

// Step sets the wall clock forward or back, and timers fire as they do when somebody
// sets the clock of the machine.
func (m *Moved) Step(d time.Duration) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.wall += d
	for t := range m.timers {
		if err := t.Timer.Set(time.Time{}); err != nil {
			return err
		}
	}
	return nil
}

// NewTimer implements clock.Clock.
func (m *Moved) NewTimer() (clock.Timer, error) {
	t, err := clock.System{}.NewTimer()
	if err != nil {
		return nil, err
	}
	return &movedTimer{Timer: t, clock: m}, nil
}

// A movedTimer is in the timers of its clock from the first Set on.
type movedTimer struct {
	clock.Timer
	clock *Moved
	at    time.Time
}

func (t *movedTimer) Set(at time.Time) error {
	t.clock.mu.Lock()
	defer t.clock.mu.Unlock()
	t.clock.timers[t] = true
	t.at = at
	return t.arm()
}

// arm sets the timer of the machine. t.clock.mu is held.
func (t *movedTimer) arm() error { return t.Timer.Set(t.at.Add(-t.clock.wall)) }

func (t *movedTimer) Close() error {
	t.clock.mu.Lock()
	delete(t.clock.timers, t)
	t.clock.mu.Unlock()
	return t.Timer.Close()
}
