package ccstore

import (
	"context"
	"math/rand/v2"
	"time"
)

// startFollowing has what other writers do to the collection become known, if
// the backend reports it, until the state is dropped.
func (s *Store) startFollowing(st *state) {
	if s.watched == nil {
		return
	}
	ctx, cancel := context.WithCancel(s.following)
	s.mu.Lock()
	defer s.mu.Unlock()
	st.unfollow = cancel
	st.unseen.Store(true)
	s.followers.Go(func() { s.keepFollowing(ctx, st) })
}

// keepFollowing watches the collection in the backend, and again whenever the
// watch is lost.
func (s *Store) keepFollowing(ctx context.Context, st *state) {
	bound := minPause
	for {
		err := s.watched.Watch(ctx, st.owner, st.current.Load().revision, func(m Moved) {
			bound = minPause
			s.moved(ctx, st, m)
		})
		st.unseen.Store(true)
		if !pause(ctx, bound) {
			return
		}
		s.log.Debug("watching a collection again", "owner", st.owner, "err", err)
		bound = min(2*bound, maxPause)
	}
}

// moved takes what the backend reported into the turns of the collection.
func (s *Store) moved(ctx context.Context, st *state, m Moved) {
	s.mu.RLock()
	dropped := ctx.Err() != nil // which happens under s.mu
	if !dropped {
		st.users.Add(1)
	}
	s.mu.RUnlock()
	if dropped {
		return
	}
	defer st.users.Add(-1)
	s.do(ctx, st, &update{moved: &m})
}

// follow makes what the backend reported the current snapshot. What cannot be
// followed is loaded.
func (s *Store) follow(ctx context.Context, st *state, m Moved) {
	st.loading.Lock()
	defer st.loading.Unlock()
	st.unseen.Store(s.alwaysAsk)
	for _, c := range m.Commits {
		before := st.current.Load()
		switch {
		case c.Revision < before.revision: // known, or our own
		case c.Revision > before.revision:
			m.Reload = true
		default:
			after, changes := apply(before, c.Ops)
			s.show(st, Event{Owner: st.owner, Before: before, After: after, Changes: changes})
		}
	}
	if m.Reload {
		st.suspect.Store(true)
	}
	if st.suspect.Load() {
		s.reload(ctx, st) // or the next use does
	}
}

// freshTimeout bounds how long a reader waits to learn that a snapshot is still
// the latest one.
const freshTimeout = 500 * time.Millisecond

// isFresh reports whether the current snapshot is the latest one, as far as the
// backend can tell: if it cannot, what is known is served.
func (s *Store) isFresh(ctx context.Context, st *state) bool {
	ctx, cancel := context.WithTimeout(ctx, freshTimeout)
	defer cancel()
	same, err := s.watched.Fresh(ctx, st.owner, st.current.Load().revision)
	return same || err != nil
}

// isOutdated reports whether another writer changed the collection, and has it
// loaded again then.
func (s *Store) isOutdated(ctx context.Context, st *state) bool {
	if s.watched == nil || s.isFresh(ctx, st) {
		return false
	}
	st.suspect.Store(true)
	return true
}

// pause waits for a random time up to bound. It reports whether ctx is still on.
func pause(ctx context.Context, bound time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(rand.N(bound)):
		return true
	}
}
