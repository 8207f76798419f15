package ccstore

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// A spell is a time in which every use of the backend fails, or every one but
// some. The log says when one begins and when it is over, not what failed in
// between: clients try again and again, and the disk that is full may be the
// one that the log is on.
type spell struct {
	log  *slog.Logger
	verb string

	mu     sync.Mutex
	known  bool // the log said that it began
	failed int  // times since the log said that one was over
	limit  *rate.Limiter
}

// At most spellBurst spells in a row are told of, then one in each spellEvery:
// on a disk that is nearly full, small requests succeed between large ones.
const (
	spellBurst = 3
	spellEvery = time.Minute
)

func newSpell(log *slog.Logger, verb string) *spell {
	return &spell{log: log, verb: verb, limit: rate.NewLimiter(rate.Every(spellEvery), spellBurst)}
}

// note is called after every use of the backend with its error.
func (s *spell) note(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case err != nil && !s.known && s.limit.Allow():
		s.known = true
		s.failed++
		s.log.Error("cannot "+s.verb+" the store; what needs that fails until it can again", "err", err)
	case err != nil:
		s.failed++
	case s.known:
		s.log.Info("can "+s.verb+" the store again", "failed", s.failed)
		s.known, s.failed = false, 0
	}
}
