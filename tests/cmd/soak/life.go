package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A life is the daemon's, with its ends and its new beginnings.
type life struct {
	daemon *lab.Daemon
	args   []string
	// turns counts both: it is odd while the daemon is down, or is about to be.
	turns atomic.Int64
	pid   atomic.Int64
}

// newLife returns the life of a daemon that is not up yet.
func newLife(d *lab.Daemon, args ...string) *life {
	l := &life{daemon: d, args: args}
	l.turns.Store(1)
	return l
}

// begin starts the daemon.
func (l *life) begin() error {
	if err := l.daemon.Start(l.args...); err != nil {
		return err
	}
	l.pid.Store(int64(l.daemon.PID()))
	l.turns.Add(1)
	return nil
}

// end ends the daemon in some way.
func (l *life) end(how func() error) error {
	l.turns.Add(1)
	l.pid.Store(0)
	return how()
}

// turn is to be asked before a request, and interrupted afterwards, if it came
// to nothing.
func (l *life) turn() int64 { return l.turns.Load() }

// interrupted tells whether the daemon was not up all the time since then.
func (l *life) interrupted(turn int64) bool {
	return turn%2 != 0 || l.turns.Load() != turn
}

// await waits until the daemon is up.
func (l *life) await(ctx context.Context) error {
	deadline := time.Now().Add(patience)
	for l.turns.Load()%2 != 0 {
		if !sleep(ctx, 10*time.Millisecond) {
			return ctx.Err()
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("the daemon was not back after %v", patience)
		}
	}
	return nil
}

// sleep waits and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}
