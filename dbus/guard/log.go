package guard

import (
	"log/slog"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"
)

// A refusalLog writes what was refused, and of many only some: whoever is on the
// bus may have as much refused as he likes.
type refusalLog struct {
	log     *slog.Logger
	limit   *rate.Limiter
	skipped atomic.Uint64
}

// At most refusalBurst lines at once, then one in each refusalEvery.
const (
	refusalBurst = 10
	refusalEvery = 10 * time.Second
)

func newRefusalLog(log *slog.Logger) *refusalLog {
	return &refusalLog{log: log, limit: rate.NewLimiter(rate.Every(refusalEvery), refusalBurst)}
}

// print writes why a message was refused. Paths are not written: they may be as
// long as a message.
func (r *refusalLog) print(h header, why string) {
	if !r.limit.Allow() {
		r.skipped.Add(1)
		return
	}
	attrs := []any{"why", why, "sender", h.sender, "type", h.kind, "interface", h.iface, "member", h.member, "signature", h.signature}
	if n := r.skipped.Swap(0); n > 0 {
		attrs = append(attrs, "more_not_shown", n)
	}
	r.log.Info("message refused", attrs...)
}
