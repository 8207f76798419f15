package clock

import (
	"time"

	"golang.org/x/sys/unix"
)

// A Clock gives the time. Its methods may be called by several goroutines at
// once.
type Clock interface {
	// Now returns the time of the wall clock, which may be set.
	Now() time.Time

	// Boot returns the time since the machine booted, suspended time included
	// (CLOCK_BOOTTIME). Nobody can set it.
	Boot() time.Duration

	// NewTimer returns a timer that is not set.
	NewTimer() (Timer, error)
}

// A Timer fires at a time of the wall clock.
type Timer interface {
	// Set makes the timer fire at t, or at once if t has passed. It replaces
	// the time set before.
	Set(t time.Time) error

	// C receives a value when the timer fires, and when the wall
	// clock is set while the timer is.
	C() <-chan struct{}

	// Close stops the timer. It must not be used afterwards.
	Close() error
}

// System is the clock of the machine.
type System struct{}

// Now implements Clock. The result has no monotonic reading: that stands still
// while the machine is suspended.
func (System) Now() time.Time { return time.Now().Round(0) }

// Boot implements Clock.
func (System) Boot() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &ts); err != nil {
		panic("clock_gettime(CLOCK_BOOTTIME): " + err.Error()) // every Linux since 2.6.39 has it
	}
	return time.Duration(ts.Nano())
}

// NewTimer implements Clock.
func (System) NewTimer() (Timer, error) { return newSystemTimer() }
