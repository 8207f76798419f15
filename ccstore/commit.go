package ccstore

import (
	"cmp"
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/google/uuid"
)

// An update waits for its turn to change what is known of a collection.
type update struct {
	f     func(*Tx) error
	moved *Moved // in place of f: what the backend reported
	err   error
	turn  chan bool // true: lead the next turn; false: done, err is set. nil: it leads at once
}

// do runs u in a turn, which it leads or shares.
func (s *Store) do(ctx context.Context, st *state, u *update) error {
	if leads := st.enqueue(u) || <-u.turn; !leads {
		return u.err
	}
	// Once it waits, an update is not given up: whether others share its
	// commit is not its caller's to decide.
	s.lead(context.WithoutCancel(ctx), st, u)
	st.passOn()
	return u.err
}

// enqueue adds u to the queue and reports whether its caller makes the commit.
func (st *state) enqueue(u *update) (lead bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queue = append(st.queue, u)
	if st.leading {
		u.turn = make(chan bool, 1)
		return false
	}
	st.leading = true
	return true
}

func (st *state) takeQueue() []*update {
	st.mu.Lock()
	defer st.mu.Unlock()
	queue := st.queue
	st.queue = nil
	return queue
}

// passOn has the first of those that came meanwhile make the next commit.
func (st *state) passOn() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if len(st.queue) == 0 {
		st.leading = false
		return
	}
	st.queue[0].turn <- true
}

// putBack returns updates to the front of the queue.
func (st *state) putBack(rest []*update) {
	if len(rest) == 0 {
		return
	}
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queue = append(slices.Clip(rest), st.queue...)
}

// lead makes one turn: it follows what the backend reported, and commits the
// updates in the queue together, as far as one commit has room for them. The
// leader comes first in the queue, and is done in any case.
func (s *Store) lead(ctx context.Context, st *state, leader *update) {
	queue := st.takeQueue()
	updates := queue[:0]
	for _, u := range queue {
		if u.moved == nil {
			updates = append(updates, u)
			continue
		}
		s.follow(ctx, st, *u.moved)
		if u != leader {
			u.turn <- false
		}
	}
	n := s.commit(ctx, st, updates)
	st.putBack(updates[n:])
	for _, u := range updates[:n] {
		if u != leader {
			u.turn <- false
		}
	}
}

// The pauses between the attempts to commit are random, and their upper bound
// doubles: other writers are there at the same time.
const (
	minPause = time.Millisecond
	maxPause = 64 * time.Millisecond
)

// commit stores what the updates change in one commit. It returns how many found
// room in it. On a conflict with another writer it tries again until the commit
// timeout.
func (s *Store) commit(ctx context.Context, st *state, updates []*update) int {
	if len(updates) == 0 {
		return 0
	}
	last := time.Now().Add(s.commitTimeout)
	for bound := minPause; ; bound = min(2*bound, maxPause) {
		p, err := s.tryCommit(ctx, st, updates)
		if errors.Is(err, ErrConflict) && time.Now().Before(last) {
			time.Sleep(rand.N(bound))
			continue
		}
		for _, u := range updates[:p.updates] {
			u.err = cmp.Or(u.err, err)
		}
		return p.updates
	}
}

// tryCommit makes one attempt. Its error is that of every update in the proposal
// whose own err is nil.
func (s *Store) tryCommit(ctx context.Context, st *state, updates []*update) (*proposal, error) {
	base, err := s.loadLatest(ctx, st)
	if err != nil {
		for _, u := range updates {
			u.err = nil
		}
		return &proposal{updates: len(updates)}, err
	}
	p := s.propose(base, updates)
	if p.failed && s.isOutdated(ctx, st) {
		return p, ErrConflict // it may not fail on the latest collection
	}
	if len(p.ops) == 0 {
		return p, nil
	}
	c := &Commit{ID: uuid.New(), Owner: st.owner, Revision: base.revision, Ops: p.finish()}
	p.after.revision = base.revision + 1
	event := Event{Owner: st.owner, Before: base, After: p.after, Changes: p.changes}
	err = s.backend.Commit(ctx, c)
	switch {
	case err == nil:
		s.publishCommitted(st, event)
	case errors.Is(err, ErrConflict), errors.Is(err, ErrOutcomeUnknown):
		if s.publishUncertain(ctx, st, &uncertain{id: c.ID, event: event}) {
			err = nil
		}
	}
	if !errors.Is(err, ErrConflict) {
		s.writing.note(err)
	}
	if err != nil {
		return p, backendError("commit for "+st.owner.String(), err)
	}
	return p, nil
}

// publishCommitted publishes a commit, unless a reader has loaded the collection
// meanwhile, which published it.
func (s *Store) publishCommitted(st *state, e Event) {
	st.loading.Lock()
	defer st.loading.Unlock()
	if st.current.Load() == e.Before {
		s.show(st, e)
	}
}

// An uncertain is a commit of this store that the backend may hold or not.
type uncertain struct {
	id    uuid.UUID
	event Event
	made  bool // the backend holds it
}

// publishUncertain loads the collection again, which publishes how it changed,
// and reports whether the backend holds the commit. If the backend fails, the
// next use of the collection loads it.
func (s *Store) publishUncertain(ctx context.Context, st *state, u *uncertain) (made bool) {
	st.loading.Lock()
	defer st.loading.Unlock()
	st.uncertain = u
	st.suspect.Store(true)
	return s.reload(ctx, st) == nil && u.made
}

// show publishes an event, and then lets readers see the new snapshot: a reader sees
// nothing before every watcher. st.loading is held.
func (s *Store) show(st *state, e Event) {
	s.levels.add(st.owner)
	s.publish(e)
	s.setCurrent(st, e.After)
}

func (s *Store) publish(e Event) {
	s.mu.RLock()
	watchers := s.watchers
	s.mu.RUnlock()
	for _, w := range watchers {
		w.f(e)
	}
}
