package clock

import (
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// A systemTimer is a descriptor of timerfd_create(2). A Go timer stands still
// while the machine is suspended, and does not notice that the clock is set.
type systemTimer struct {
	fd   int
	file *os.File
	c    chan struct{}
}

func newSystemTimer() (*systemTimer, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("cannot make a timer: %w", err)
	}
	t := &systemTimer{fd: fd, file: os.NewFile(uintptr(fd), "timer"), c: make(chan struct{}, 1)}
	go t.watch()
	return t, nil
}

func (t *systemTimer) Set(at time.Time) error {
	if first := time.Unix(0, 1); at.Before(first) {
		at = first // a time of 0 would switch the timer off
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(at.UnixNano())}
	err := unix.TimerfdSettime(t.fd, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil)
	if err != nil && !errors.Is(err, unix.ECANCELED) { // the clock was set meanwhile: the timer fires all the same
		return fmt.Errorf("cannot set a timer: %w", err)
	}
	return nil
}

func (t *systemTimer) C() <-chan struct{} { return t.c }
func (t *systemTimer) Close() error       { return t.file.Close() }

// watch passes on each time the descriptor becomes readable, until it is closed.
func (t *systemTimer) watch() {
	buf := make([]byte, 8)
	for {
		// The read fails with ECANCELED when the clock was set.
		if _, err := t.file.Read(buf); err != nil && !errors.Is(err, unix.ECANCELED) {
			return
		}
		select {
		case t.c <- struct{}{}:
		default: // the last value was not received yet
		}
	}
}
