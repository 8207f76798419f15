package main

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// newLogger returns a logger that writes lines of text to w. The journal has
// its own clock: there, lines go without time.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if isJournal(w) {
		o.ReplaceAttr = dropTime
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func dropTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// isJournal tells whether w is the stream that systemd connected to the
// journal, which the variable JOURNAL_STREAM names. The variable alone does not
// say so: it is inherited, and w may have been redirected.
func isJournal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", st.Dev, st.Ino)
}
