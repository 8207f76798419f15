package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"
)

// newLogger returns a logger that writes lines of text to w. For the journal,
// which has its own clock, lines have a priority in place of the time.
func newLogger(w io.Writer, level slog.Level) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if isJournal(w) {
		o.ReplaceAttr = dropTime
		w = journal{w}
	}
	return slog.New(slog.NewTextHandler(w, o))
}

// A journal gives each line its priority, in the form of sd-daemon(3).
type journal struct{ w io.Writer }

// priorities are those of syslog(3), by how the text handler begins a line.
var priorities = []struct{ beginning, prefix string }{
	{"level=ERROR", errorPrefix},
	{"level=WARN", "<4>"},
	{"level=INFO", "<6>"},
	{"level=DEBUG", "<7>"},
}

// errorPrefix marks a line for the journal as an error.
const errorPrefix = "<3>"

// Write writes a line, which the text handler passes whole.
func (j journal) Write(line []byte) (int, error) {
	for _, p := range priorities {
		if bytes.HasPrefix(line, []byte(p.beginning)) {
			_, err := j.w.Write(append([]byte(p.prefix), line...))
			return len(line), err
		}
	}
	return j.w.Write(line)
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
