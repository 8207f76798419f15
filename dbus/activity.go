package dbus

import (
	"sync/atomic"
	"time"
)

// An activity notes when clients need the service.
type activity struct {
	calls atomic.Int64 // not answered yet
	last  atomic.Int64 // when a call was answered or a client left, in nanoseconds since 1970
}

func (a *activity) begin() { a.calls.Add(1) }

func (a *activity) end() {
	a.touch()
	a.calls.Add(-1)
}

func (a *activity) touch() { a.last.Store(time.Now().UnixNano()) }

// Activity returns whether a client needs the service, and when one last did: it waits
// for an answer, or is subscribed. Of the listeners on a bus of one user only those count
// that have called: the service does not know the others.
func (s *Service) Activity() (needed bool, last time.Time) {
	last = time.Unix(0, s.activity.last.Load())
	if s.activity.calls.Load() > 0 {
		return true, last
	}
	s.changing.Lock()
	defer s.changing.Unlock()
	return s.current != nil && s.current.clients.listen(), last
}

// listen reports whether a client listens.
func (c *clients) listen() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for peer, one := range c.byPeer {
		if peer != nil && (one.sub != nil || c.broadcast != nil && one.known) {
			return true
		}
	}
	return false
}
