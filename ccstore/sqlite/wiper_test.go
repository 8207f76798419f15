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
		w := newWiper(true)
		wal := int64(0)
		walHas := func(frames int64) bool { return wal >= frames }
		begin := time.Now()
		next := func(want time.Duration, mode checkpointMode) {
			t.Helper()
			<-w.timer.C
			if got := time.Since(begin); got != want {
				t.Errorf("after %v, want %v", got, want)
			}
			if got, is := w.due(walHas); is != (mode != "") || is && got != mode {
				t.Errorf("checkpoint %q, %v, want %q", got, is, mode)
			}
			begin = time.Now()
		}
		const none checkpointMode = ""
		next(wipeQuiet, erase) // the WAL of a killed daemon
		w.finished(erase, nil, log)

		w.committed(true, walHas)
		next(wipeQuiet, erase)
		w.finished(erase, nil, log)

		// What only adds stays in the WAL, as long as that is small.
		w.committed(false, walHas)
		next(wipeQuiet, none)
		if !w.open {
			t.Error("the commit is forgotten")
		}
		wal = restFrames
		w.committed(false, walHas)
		next(wipeQuiet, erase)
		w.finished(erase, nil, log)
		wal = 0

		// Commits without a pause delay it by wipeLimit at most.
		w.committed(true, walHas)
		for range 49 {
			time.Sleep(wipeLimit / 50)
			w.committed(false, walHas)
		}
		next(wipeLimit, erase)
		logged := func(want int) {
			t.Helper()
			if n := strings.Count(text.String(), "cannot empty"); n != want {
				t.Errorf("%d lines in the log, want %d:\n%s", n, want, text.String())
			}
			text.Reset()
		}
		w.finished(erase, errors.New("disk"), log)
		logged(1)
		next(wipeLimit, erase)
		w.finished(erase, errors.New("disk"), log)
		next(wipeLimit, erase)
		w.finished(erase, nil, log)
		logged(0)

		// A reader that is slow is nothing to tell. One that does not end is.
		w.committed(true, walHas)
		for range 2 {
			next(wipeQuiet, erase)
			w.finished(erase, errBusy, log)
			next(wipeQuiet, erase)
			w.finished(erase, nil, log)
			logged(0)
			w.committed(true, walHas)
		}
		next(wipeQuiet, erase)
		for _, wait := range []time.Duration{wipeQuiet, 2 * wipeQuiet, 4 * wipeQuiet, 8 * wipeQuiet} {
			logged(0)
			w.finished(erase, errBusy, log)
			next(wait, erase)
		}
		for range 3 {
			w.finished(erase, errBusy, log)
			next(wipeLimit, erase)
		}
		w.finished(erase, nil, log)
		logged(1)

		// A large WAL is restarted at once, and erased when there are no more commits, or
		// wipeLimit after one that deleted.
		wal = wipeFrames
		w.committed(false, walHas)
		next(0, restart)
		w.finished(restart, nil, log)
		wal = 0
		next(wipeQuiet, none)
		wal = wipeFrames
		w.committed(true, walHas)
		next(0, restart)
		w.finished(restart, nil, log)
		wal = 1
		next(wipeQuiet, erase)
		w.finished(erase, nil, log)
		wal = wipeFrames
		for wait := wipeLimit; wait > 0; wait -= wipeLimit / 50 {
			w.committed(true, walHas)
			next(0, restart)
			w.finished(restart, nil, log)
			time.Sleep(wipeLimit / 50)
			begin = time.Now()
		}
		wal = 1
		next(0, erase)

		// After a failure it waits.
		w.finished(erase, errors.New("disk"), log)
		wal = wipeFrames
		w.committed(true, walHas)
		next(wipeQuiet, erase)
		w.finished(erase, nil, log)

		// Without a commit nothing happens.
		select {
		case <-w.timer.C:
			t.Error("a checkpoint without a commit")
		case <-time.After(time.Hour):
		}
	})
}
