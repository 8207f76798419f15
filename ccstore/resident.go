package ccstore

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"kcmd.org/kcmd/trim"
)

// A residency bounds the bytes of all collections in memory. Over the bound the
// store drops collections that no call uses, the largest first. A dropped collection
// is loaded again when it is used.
type residency struct {
	limit atomic.Int64
	bytes atomic.Int64

	mu    sync.Mutex
	large map[Owner]bool // were at least largeBytes when they were dropped

	loading chan struct{} // holds a token while a large collection is loaded

	moved   atomic.Int64 // bytes that came into the memory or left it since the trimmer was touched
	trimmer trim.Trimmer
}

// largeBytes is the size of a collection that is loaded alone: otherwise a few
// users who take turns would fill the memory with collections that are in use.
const largeBytes = 1 << 20

func newResidency(limit int64) *residency {
	r := &residency{large: make(map[Owner]bool), loading: make(chan struct{}, 1)}
	r.limit.Store(limit)
	return r
}

// admit waits until the collection of owner may be loaded. done ends the load.
func (r *residency) admit(ctx context.Context, owner Owner) (done func(), err error) {
	r.mu.Lock()
	large := r.large[owner]
	r.mu.Unlock()
	if !large {
		return func() {}, nil
	}
	select {
	case r.loading <- struct{}{}:
		return func() { <-r.loading }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// isOver reports whether the collections take more than the bound.
func (r *residency) isOver() bool {
	limit := r.limit.Load()
	return limit > 0 && r.bytes.Load() > limit
}

// SetResident sets how many bytes of collections stay in memory, as Options.Resident.
func (s *Store) SetResident(limit int64) {
	s.resident.limit.Store(limit)
	s.relieve()
}

// muchMoved is how many bytes of tickets must have come into the memory or left it for the
// garbage to be collected. What comes leaves half as much of it behind, what a database
// driver needed.
const muchMoved = 16 << 20

// changed notes by how many bytes the collections in memory have grown or shrunk.
func (r *residency) changed(by int64) {
	r.bytes.Add(by)
	if r.moved.Add(max(by, -by)) >= muchMoved {
		r.moved.Store(0)
		r.trimmer.Touch()
	}
}

// dropped notes that a collection of so many bytes left the memory.
func (r *residency) dropped(owner Owner, size int64) {
	r.changed(-size)
	r.mu.Lock()
	defer r.mu.Unlock()
	if size >= largeBytes {
		r.large[owner] = true
	} else {
		delete(r.large, owner)
	}
}

// setCurrent lets readers see c. st.loading is held.
func (s *Store) setCurrent(st *state, c *Collection) {
	size := c.Size()
	s.resident.changed(size - st.size.Swap(size))
	st.current.Store(c)
	if s.resident.isOver() {
		s.relieve()
	}
}

// relieve drops collections that no call uses, the largest first, until an eighth
// of the bound is free.
func (s *Store) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || !s.resident.isOver() {
		return
	}
	var unused []*state
	for _, st := range s.states {
		if st.users.Load() == 0 && !st.suspect.Load() {
			unused = append(unused, st)
		}
	}
	slices.SortFunc(unused, func(a, b *state) int { return cmp.Compare(b.size.Load(), a.size.Load()) })
	for _, st := range unused {
		if s.resident.bytes.Load() <= s.resident.limit.Load()/8*7 {
			return
		}
		s.drop(st)
	}
}

// drop removes from memory a collection that no call uses. s.mu is held.
func (s *Store) drop(st *state) {
	delete(s.states, st.owner)
	if st.unfollow != nil {
		st.unfollow()
	}
	s.resident.dropped(st.owner, st.size.Load())
}

// sweep drops the states that were not used since the last sweep.
func (s *Store) sweep() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	for _, st := range s.states {
		// Each call that begins to use it holds the same lock: no owner has two states.
		if st.users.Load() == 0 && st.idle.Load() && !st.suspect.Load() {
			s.drop(st)
		}
		st.idle.Store(true)
	}
	if len(s.states) == 0 {
		s.sweeper = nil
	} else {
		s.sweeper.Reset(s.idle)
	}
}
