// Package lock knows whether the session is locked: by logind's LockedHint, and by the
// screen savers of the session.
//
// It imports nothing of ours. Its files are lock.go, which joins both, saver.go and
// logind.go.
package lock

import (
	"context"
	"sync"

	godbus "github.com/godbus/dbus/v5"
)

// Watch calls changed when the session is locked or unlocked, until ctx ends. It begins
// unlocked.
func Watch(ctx context.Context, session *godbus.Conn, changed func(locked bool)) {
	s := &state{locks: make(map[string]bool), changed: changed}
	var wg sync.WaitGroup
	wg.Go(func() { watchSavers(ctx, session, s) })
	wg.Go(func() { watchLogind(ctx, s) })
	wg.Wait()
}

// A state has who says that the session is locked.
type state struct {
	mu      sync.Mutex
	locks   map[string]bool
	locked  bool
	changed func(bool)
}

func (s *state) set(who string, locked bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.locks[who] = locked
	now := false
	for _, l := range s.locks {
		now = now || l
	}
	if now != s.locked {
		s.locked = now
		s.changed(now)
	}
}
