package sqlite

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWiper checks when the WAL is emptied.
func TestWiper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		w := newWiper()
		wal := int64(0)
		size := func(frames int64) bool { return wal >= frames }
		begin := time.Now()
		next := func(want time.Duration) {
			t.Helper()
			<-w.timer.C
			if got := time.Since(begin); got != want {
				t.Errorf("after %v, want %v", got, want)
			}
			begin = time.Now()
		}
		next(wipeQuiet) // for the WAL of a killed daemon
		w.finished(nil, log)

		w.committed(size)
		next(wipeQuiet)
		w.finished(nil, log)

		// Commits without a pause delay it by wipeLimit at most.
		for range 49 {
			w.committed(size)
			time.Sleep(wipeLimit / 50)
		}
		w.committed(size)
		next(wipeLimit)
		w.finished(errors.New("busy"), log)
		next(wipeLimit)
		w.finished(errors.New("busy"), log)
		next(wipeLimit)
		w.finished(nil, log)
		if n := strings.Count(text.String(), "cannot empty"); n != 1 {
			t.Errorf("%d lines in the log, want one:\n%s", n, text.String())
		}

		// A large WAL is restarted at once, and emptied when there are no more
		// commits, or wipeLimit after the first one.
		wal = wipeFrames
		w.committed(size)
		next(0)
		if w.mode != restart {
			t.Errorf("mode %s", w.mode)
		}
		w.finished(nil, log)
		next(wipeQuiet)
		if w.mode != truncate {
			t.Errorf("mode %s", w.mode)
		}
		w.finished(nil, log)
		for wait := wipeLimit; wait > 0; wait -= wipeLimit / 50 {
			w.committed(size)
			next(0)
			w.finished(nil, log)
			time.Sleep(wipeLimit / 50)
			begin = time.Now()
		}
		next(0)
		if w.mode != truncate {
			t.Errorf("mode %s", w.mode)
		}

		// After a failure it waits.
		w.finished(errors.New("busy"), log)
		w.committed(size)
		next(wipeQuiet)
		w.finished(nil, log)

		// Without a commit nothing happens.
		select {
		case <-w.timer.C:
			t.Error("a checkpoint without a commit")
		case <-time.After(time.Hour):
		}
	})
}
