// Package ratelog writes log lines at a bounded rate, so that nobody fills the
// disk with lines that a client can cause.
//
// It is a leaf: it imports nothing of kcmd's.
//
// Files: ratelog.go bounds one stream of lines, each.go one for each of many keys.
package ratelog

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A Logger writes lines to another logger and drops those above its rate. The
// next line that it writes has the number of dropped lines in the attribute
// "more_not_shown". Its methods may be called by several goroutines at once.
type Logger struct {
	log     *slog.Logger
	limit   *rate.Limiter
	dropped atomic.Uint64
}

// New returns a Logger that writes up to burst lines at once, and one line for
// each period of length every thereafter.
func New(log *slog.Logger, burst int, every time.Duration) *Logger {
	return &Logger{log: log, limit: rate.NewLimiter(rate.Every(every), burst)}
}

// Info writes a line at level INFO, or drops it.
func (l *Logger) Info(msg string, attrs ...any) {
	if !l.limit.Allow() {
		l.dropped.Add(1)
		return
	}
	if n := l.dropped.Swap(0); n > 0 {
		attrs = append(attrs, "more_not_shown", n)
	}
	l.log.Info(msg, attrs...)
}
