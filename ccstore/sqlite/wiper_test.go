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

// TestWiper looks at when it is time to wipe.
func TestWiper(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := slog.New(slog.NewTextHandler(&text, nil))
		w := newWiper()
		begin := time.Now()
		next := func(want time.Duration) {
			t.Helper()
			<-w.timer.C
			if got := time.Since(begin); got != want {
				t.Errorf("after %v, want %v", got, want)
			}
			begin = time.Now()
		}
		next(wipeQuiet) // for what a killed daemon has left
		w.wiped(nil, log)

		w.committed()
		next(wipeQuiet)
		w.wiped(nil, log)

		// Commits that do not cease put it off for so long only.
		for range 49 {
			w.committed()
			time.Sleep(wipeLimit / 50)
		}
		w.committed()
		next(wipeLimit)
		w.wiped(errors.New("busy"), log)
		next(wipeLimit)
		w.wiped(errors.New("busy"), log)
		next(wipeLimit)
		w.wiped(nil, log)
		if n := strings.Count(text.String(), "cannot empty"); n != 1 {
			t.Errorf("%d lines in the log, want one:\n%s", n, text.String())
		}

		// Nothing happens by itself.
		select {
		case <-w.timer.C:
			t.Error("it is time to wipe, though there was no commit")
		case <-time.After(time.Hour):
		}
	})
}
