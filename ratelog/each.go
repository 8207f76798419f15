package ratelog

import (
	"log/slog"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Each writes log lines at a bounded rate for each key, so that the lines of one
// do not hide those of another, and at a bounded rate for all together. Its
// methods may be called by several goroutines at once.
type Each[K comparable] struct {
	log   *slog.Logger
	burst int
	every time.Duration
	all   *rate.Limiter

	mu   sync.Mutex
	keys map[K]*stream
}

// A stream is what is written about one key.
type stream struct {
	limit   *rate.Limiter
	dropped uint64
}

// shares is how many keys can use their whole rate at once.
const shares = 10

// maxKeys bounds how many keys are known. Beyond it those that wrote nothing
// lately are forgotten.
const maxKeys = 1024

// NewEach returns an Each that writes up to burst lines at once about one key,
// and one line for each period of length every thereafter; about all keys ten
// times as much.
func NewEach[K comparable](log *slog.Logger, burst int, every time.Duration) *Each[K] {
	return &Each[K]{
		log: log, burst: burst, every: every,
		all:  rate.NewLimiter(rate.Every(every/shares), burst*shares),
		keys: make(map[K]*stream),
	}
}

// Info writes a line about key at level INFO, or drops it. The next line about
// that key has the number of dropped lines in the attribute "more_not_shown".
func (e *Each[K]) Info(key K, msg string, attrs ...any) {
	dropped, ok := e.allow(key)
	if !ok {
		return
	}
	if dropped > 0 {
		attrs = append(attrs, "more_not_shown", dropped)
	}
	e.log.Info(msg, attrs...)
}

// allow reports whether a line may be written, and how many lines before it were
// dropped.
func (e *Each[K]) allow(key K) (dropped uint64, ok bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.keys[key]
	if s == nil {
		if len(e.keys) >= maxKeys {
			e.forget()
		}
		s = &stream{limit: rate.NewLimiter(rate.Every(e.every), e.burst)}
		e.keys[key] = s
	}
	if !s.limit.Allow() || !e.all.Allow() {
		s.dropped++
		return 0, false
	}
	dropped, s.dropped = s.dropped, 0
	return dropped, true
}

// forget drops the keys whose rate is unused, and all if there is none. e.mu is
// held.
func (e *Each[K]) forget() {
	for key, s := range e.keys {
		if s.limit.Tokens() >= float64(e.burst) {
			delete(e.keys, key)
		}
	}
	if len(e.keys) >= maxKeys {
		clear(e.keys)
	}
}
