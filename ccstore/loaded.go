package ccstore

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

// A state is the part of the store in memory for one owner. The store drops it when
// it was not used for a while.
type state struct {
	owner   Owner
	current atomic.Pointer[Collection] // what readers see; nil: to be loaded
	size    atomic.Int64               // of current
	suspect atomic.Bool                // the backend may hold something later: load again
	unseen  atomic.Bool                // the backend does not report what happens: ask
	users   atomic.Int64               // calls under way, and holds
	idle    atomic.Bool                // not used since the last sweep

	loading   sync.Mutex // held to load
	uncertain *uncertain // with loading: to be looked for when loaded again
	unfollow  func()     // with Store.mu: ends the watch of the backend

	mu      sync.Mutex
	holds   int       // that are not released
	queue   []*update // waiting for a turn
	leading bool      // an update leads a turn, or is about to
}

// useState begins a call that needs the state of owner, which ends with release.
func (s *Store) useState(owner Owner) (*state, error) {
	if st, err := s.useKnownState(owner); st != nil || err != nil {
		return st, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	st := s.states[owner]
	if st == nil {
		st = &state{owner: owner}
		s.states[owner] = st
		if s.sweeper == nil {
			s.sweeper = time.AfterFunc(s.idle, s.sweep)
		}
	}
	s.active.Add(1)
	st.users.Add(1)
	return st, nil
}

// useKnownState does what useState does if there is a state, and returns nil otherwise.
func (s *Store) useKnownState(owner Owner) (*state, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, ErrClosed
	}
	st := s.states[owner]
	if st == nil {
		return nil, nil
	}
	s.active.Add(1)
	st.users.Add(1)
	if st.idle.Load() {
		st.idle.Store(false)
	}
	return st, nil
}

func (s *Store) releaseState(st *state) {
	st.users.Add(-1)
	s.active.Done()
}

// Loaded returns the number of owners whose collections are in memory.
func (s *Store) Loaded() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.states)
}

// snapshot returns what readers see. A snapshot that is suspect is better than
// none: it is returned while the backend fails, or while another call loads.
func (s *Store) snapshot(ctx context.Context, st *state) (*Collection, error) {
	c := st.current.Load()
	if c == nil {
		return s.loadLatest(ctx, st)
	}
	if !st.suspect.Load() && !st.unseen.Load() || !s.beginLoading(st) {
		return c, nil
	}
	defer st.loading.Unlock()
	if st.suspect.Load() || !s.isFresh(ctx, st) {
		_ = s.reload(ctx, st) // s.reading says so, and what is known is better than nothing
	}
	return st.current.Load(), nil
}

// beginLoading locks st.loading. It is false if another call has: then what is known is
// good enough, unless an AskedWatcher can tell at once.
func (s *Store) beginLoading(st *state) bool {
	if s.alwaysAsk {
		st.loading.Lock()
		return true
	}
	return st.loading.TryLock()
}

// loadLatest returns the latest snapshot, from the backend if there is none or it is
// suspect.
func (s *Store) loadLatest(ctx context.Context, st *state) (*Collection, error) {
	if c := st.current.Load(); c != nil && !st.suspect.Load() {
		return c, nil
	}
	st.loading.Lock()
	defer st.loading.Unlock()
	if c := st.current.Load(); c != nil && !st.suspect.Load() {
		return c, nil
	}
	done, err := s.resident.admit(ctx, st.owner)
	if err != nil {
		return nil, err
	}
	defer done()
	if err := s.reload(ctx, st); err != nil {
		return nil, err
	}
	return st.current.Load(), nil
}

// reload makes what the backend holds the current snapshot. st.loading is held.
func (s *Store) reload(ctx context.Context, st *state) error {
	r, err := s.backend.Load(ctx, st.owner)
	s.reading.note(err)
	if err != nil {
		return backendError("load collection of "+st.owner.String(), err)
	}
	last := st.current.Load()
	after, repairs := fromRecord(st.owner, r)
	s.repair(ctx, after, repairs)
	if last == nil {
		s.setCurrent(st, after)
		s.startFollowing(st)
	} else if after.revision != last.revision {
		s.show(st, Event{Owner: st.owner, Before: last, After: after, Changes: st.changesTo(last, after, r.Commits)})
	}
	st.uncertain = nil
	st.suspect.Store(false)
	return nil
}

// changesTo returns what changed from last to after, as an uncertain commit has it
// if that was all. It notes whether that was made.
func (st *state) changesTo(last, after *Collection, commits []uuid.UUID) []Change {
	u := st.uncertain
	if u != nil {
		u.made = slices.Contains(commits, u.id)
		if u.made && u.event.Before == last && u.event.After.revision == after.revision {
			return u.event.Changes
		}
	}
	return diff(last, after)
}

// repair commits the repairs of a collection. If it cannot, they are made again when
// the collection is loaded again. Where there are other writers it commits nothing,
// since each of them would: the entries are quarantined in memory only.
func (s *Store) repair(ctx context.Context, c *Collection, repairs []repair) {
	if len(repairs) == 0 {
		return
	}
	commit := &Commit{ID: uuid.New(), Owner: c.owner, Revision: c.revision}
	for _, r := range repairs {
		commit.Ops = append(commit.Ops, r.op)
		if r.lost {
			s.log.Error("stored entry cannot be read, quarantined", "owner", c.owner, "err", r.err)
		}
	}
	if s.watched != nil {
		return
	}
	if err := s.backend.Commit(context.WithoutCancel(ctx), commit); err != nil {
		s.log.Warn("cannot repair a collection", "owner", c.owner, "err", err)
		return
	}
	c.revision++
}

// backendError says what the backend failed to do.
func backendError(what string, err error) error {
	return fmt.Errorf("%w: %s: %w", ErrBackend, what, err)
}
