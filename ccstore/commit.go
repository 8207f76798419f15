package ccstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"

	"github.com/google/uuid"
)

// An update waits for a commit that it can share, or for its turn to make one.
type update struct {
	f    func(*Tx) error
	err  error
	turn chan bool // true: make the commit; false: it was made, err is set
}

// enqueue adds u to the queue and reports whether its caller makes the commit.
func (st *state) enqueue(u *update) (lead bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.queue = append(st.queue, u)
	lead = !st.leading
	st.leading = true
	return lead
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

// maxAttempts bounds how often a commit is tried again because somebody else
// changed the collection in the backend.
const maxAttempts = 5

// commit runs the updates of batch one after the other, stores what those that
// did not fail have changed in one commit, and tells all but the first, whose
// caller it is, that they are done.
func (s *Store) commit(ctx context.Context, st *state, batch []*update) {
	defer func() {
		for _, u := range batch[1:] {
			u.turn <- false
		}
	}()
	var err error
	for range maxAttempts {
		if err = s.tryCommit(ctx, st, batch); !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		for _, u := range batch {
			if u.err == nil {
				u.err = err
			}
		}
	}
}

// tryCommit makes one attempt. Its error is that of every update whose own err
// is nil.
func (s *Store) tryCommit(ctx context.Context, st *state, batch []*update) error {
	base, err := s.load(ctx, st)
	if err != nil {
		for _, u := range batch {
			u.err = nil
		}
		return err
	}
	after := base
	var ops []Op
	var changes []Change
	for _, u := range batch {
		tx := newTx(after, s.clock.Now(), s.Distrust)
		if u.err = s.run(u.f, tx); u.err == nil {
			u.err = tx.enforce(after, s.limits)
		}
		if u.err != nil {
			continue
		}
		after = tx.Collection
		ops = append(ops, tx.ops...)
		changes = append(changes, tx.changes...)
	}
	if len(ops) == 0 {
		return nil
	}
	err = s.backend.Commit(ctx, &Commit{ID: uuid.New(), Owner: st.owner, Revision: base.revision, Ops: ops})
	if !errors.Is(err, ErrConflict) {
		s.writing.note(err)
	}
	if errors.Is(err, ErrConflict) || errors.Is(err, ErrOutcomeUnknown) {
		st.suspect.Store(true)
	}
	if err != nil {
		return backendError("commit for "+st.owner.String(), err)
	}
	after.revision = base.revision + 1
	s.show(st, Event{Owner: st.owner, Before: base, After: after, Changes: changes})
	return nil
}

// show publishes an event, and then lets readers see what it tells of: what a
// reader sees, every watcher was told.
func (s *Store) show(st *state, e Event) {
	s.levels.add(st.owner)
	s.publish(e)
	st.current.Store(e.After)
}

// run calls f, whose panic fails this one transaction and no other.
func (s *Store) run(f func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("transaction panicked", "owner", tx.owner, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = ErrInternal
		}
	}()
	return f(tx)
}

func (s *Store) publish(e Event) {
	s.mu.RLock()
	watchers := s.watchers
	s.mu.RUnlock()
	for _, w := range watchers {
		w.f(e)
	}
}
