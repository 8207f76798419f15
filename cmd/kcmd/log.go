package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"syscall"

	"github.com/coreos/go-systemd/v22/journal"
)

// newLogger returns a logger that writes lines of text to w. If w is the stream to the
// journal, the lines go there with fields, or if that is not possible with a priority
// instead of the time, which the journal adds itself.
func newLogger(w io.Writer, level slog.Leveler) *slog.Logger {
	o := &slog.HandlerOptions{Level: level}
	if !isJournal(w) {
		return slog.New(slog.NewTextHandler(w, o))
	}
	o.ReplaceAttr = dropTime
	lines := slog.NewTextHandler(prefixed{w}, o)
	if isSocket(w) && journal.Enabled() {
		return slog.New(newJournalHandler(level, lines))
	}
	return slog.New(lines)
}

// isSocket reports whether w is a socket, as the stream to the journal is.
func isSocket(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode().Type() == os.ModeSocket
}

// A prefixed prefixes each line with its priority, as in sd-daemon(3).
type prefixed struct{ w io.Writer }

// priorities are the priorities of syslog(3) for the beginnings of lines that the
// text handler writes.
var priorities = []struct{ beginning, prefix string }{
	{"level=ERROR", errorPrefix},
	{"level=WARN", "<4>"},
	{"level=INFO", "<6>"},
	{"level=DEBUG", "<7>"},
}

// errorPrefix is the priority of an error.
const errorPrefix = "<3>"

// Write writes one whole line, which the text handler writes in one call.
func (j prefixed) Write(line []byte) (int, error) {
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

// logTarget returns where lines written to w go, by the names of systemd.
func logTarget(w io.Writer) string {
	if isJournal(w) {
		return "journal"
	}
	return "console"
}

// isJournal reports whether w is the stream to the journal that JOURNAL_STREAM names
// (systemd.exec(5)). The variable alone proves nothing: it is inherited, and w may be
// redirected.
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
