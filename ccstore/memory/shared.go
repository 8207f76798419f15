package memory

import (
	"context"
	"slices"
	"sync"

	"kcmd.org/kcmd/ccstore"
)

// A Shared is a Backend for several stores at once, each of which learns what the
// others do.
type Shared struct {
	*Backend

	order   sync.Mutex // held to commit, so that watches see commits in order
	watches map[ccstore.Owner][]*watch
}

var _ ccstore.Watcher = (*Shared)(nil)

// NewShared returns an empty backend.
func NewShared() *Shared {
	return &Shared{Backend: New(), watches: make(map[ccstore.Owner][]*watch)}
}

// maxUnread bounds the commits that wait for one watch.
const maxUnread = 64

// A watch gathers what happened since it was last read.
type watch struct {
	unread ccstore.Moved
	wake   chan struct{}
}

func (w *watch) add(c *ccstore.Commit) {
	if len(w.unread.Commits) == maxUnread {
		w.unread = ccstore.Moved{Reload: true}
	}
	if !w.unread.Reload {
		w.unread.Commits = append(w.unread.Commits, c)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Commit implements ccstore.Backend.
func (s *Shared) Commit(ctx context.Context, c *ccstore.Commit) error {
	s.order.Lock()
	defer s.order.Unlock()
	if err := s.Backend.Commit(ctx, c); err != nil {
		return err
	}
	for _, w := range s.watches[c.Owner] {
		w.add(c)
	}
	return nil
}

// Watch implements ccstore.Watcher.
func (s *Shared) Watch(ctx context.Context, owner ccstore.Owner, after uint64, f func(ccstore.Moved)) error {
	w := s.beginWatch(owner, after)
	defer s.endWatch(owner, w)
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-w.wake:
		}
		s.order.Lock()
		m := w.unread
		w.unread = ccstore.Moved{}
		s.order.Unlock()
		f(m)
	}
}

func (s *Shared) beginWatch(owner ccstore.Owner, after uint64) *watch {
	w := &watch{wake: make(chan struct{}, 1)}
	w.wake <- struct{}{} // says that the watch holds
	s.order.Lock()
	defer s.order.Unlock()
	w.unread.Reload = s.revision(owner) != after
	s.watches[owner] = append(s.watches[owner], w)
	return w
}

func (s *Shared) endWatch(owner ccstore.Owner, w *watch) {
	s.order.Lock()
	defer s.order.Unlock()
	s.watches[owner] = slices.DeleteFunc(s.watches[owner], func(other *watch) bool { return other == w })
	if len(s.watches[owner]) == 0 {
		delete(s.watches, owner)
	}
}

// Fresh implements ccstore.Watcher.
func (s *Shared) Fresh(_ context.Context, owner ccstore.Owner, revision uint64) (bool, error) {
	return s.revision(owner) == revision, nil
}

func (s *Shared) revision(owner ccstore.Owner) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.collections[owner]; c != nil {
		return c.revision
	}
	return 0
}
