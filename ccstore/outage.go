package ccstore

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// An outage is a time in which the backend fails, always or now and then. The log
// says when it begins and ends, but not each failure: clients try again and again,
// and the full disk may be the one that has the log.
type outage struct {
	log  *slog.Logger
	verb string

	mu     sync.Mutex
	now    bool // the last use failed
	logged bool // the log says that it began
	failed int  // uses since the last one that the log says ended
	limit  *rate.Limiter
}

// The log has outageBurst outages in a row, then one in each outageEvery: on a disk
// that is nearly full, small requests succeed between large ones.
const (
	outageBurst = 3
	outageEvery = time.Minute
)

func newOutage(log *slog.Logger, verb string) *outage {
	return &outage{log: log, verb: verb, limit: rate.NewLimiter(rate.Every(outageEvery), outageBurst)}
}

// note is called after every use of the backend with its error.
func (o *outage) note(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.now = err != nil
	switch {
	case err != nil && !o.logged && o.limit.Allow():
		o.logged = true
		o.failed++
		o.log.Error("cannot "+o.verb+" the store; requests that need it fail", "err", err)
	case err != nil:
		o.failed++
	case o.logged:
		o.log.Info("can "+o.verb+" the store again", "failed", o.failed)
		o.logged, o.failed = false, 0
	}
}

// goesOn reports whether the last use of the backend failed.
func (o *outage) goesOn() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.now
}
