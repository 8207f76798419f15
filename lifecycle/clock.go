package lifecycle

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A Clock tells the time of day and waits for it.
type Clock interface {
	Now() time.Time
	NewTimer() (Timer, error)
}

// A Timer tells when it is a certain time of day. The time during which the
// machine is suspended counts.
type Timer interface {
	// Set has the timer fire at t, and not at a time set before.
	Set(t time.Time) error

	// C receives when the timer fires, and when somebody has set the clock.
	C() <-chan struct{}

	// Close ends the timer.
	Close() error
}

// SystemClock is the clock of the machine.
type SystemClock struct{}

// Now returns the time of day.
func (SystemClock) Now() time.Time { return time.Now() }

// NewTimer returns a timer that is not set.
func (SystemClock) NewTimer() (Timer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	t := &systemTimer{fd: fd, file: os.NewFile(uintptr(fd), "timer"), c: make(chan struct{}, 1)}
	go t.watch()
	return t, nil
}

// A systemTimer is a descriptor of timerfd_create(2). A Go timer would stand
// still while the machine is suspended, and not notice that the clock is set.
type systemTimer struct {
	fd   int
	file *os.File
	c    chan struct{}
}

func (t *systemTimer) Set(at time.Time) error {
	// A time of 0 would switch it off.
	at = latest(at, time.Unix(0, 1))
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at.UnixNano())}
	err := unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil)
	if err != nil && !errors.Is(err, unix.ECANCELED) { // set meanwhile: it fires all the same
		return fmt.Errorf("cannot set a timer: %w", err)
	}
	return nil
}

func (t *systemTimer) C() <-chan struct{} { return t.c }
func (t *systemTimer) Close() error       { return t.file.Close() }

// watch passes on that the descriptor became readable, until it is closed.
func (t *systemTimer) watch() {
	buf := make([]byte, 8)
	for {
		// It fails with ECANCELED when the clock was set.
		if _, err := t.file.Read(buf); err != nil && !errors.Is(err, unix.ECANCELED) {
			return
		}
		select {
		case t.c <- struct{}{}:
		default: // somebody has yet to see that it fired before
		}
	}
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}
