package ccstore

import (
	"slices"
	"sync"
)

// Hold keeps the collection of owner in memory, once it is loaded, until
// release is called: no event of it is missed.
func (s *Store) Hold(owner Owner) (release func(), err error) {
	st, err := s.useState(owner)
	if err != nil {
		return nil, err
	}
	s.active.Done() // Close does not wait for it
	s.addHold(st, 1)
	return sync.OnceFunc(func() {
		s.addHold(st, -1)
		st.users.Add(-1)
	}), nil
}

// addHold counts the holds on a collection, and calls the functions of WatchHolds
// if the count leaves or reaches 0.
func (s *Store) addHold(st *state, n int) {
	st.mu.Lock()
	defer st.mu.Unlock()
	was := st.holds > 0
	st.holds += n
	if held := st.holds > 0; held != was {
		s.mu.RLock()
		holders := s.holders
		s.mu.RUnlock()
		for _, h := range holders {
			h.f(st.owner, held)
		}
	}
}

// A holder is a function that is called when holds begin and end.
type holder struct{ f func(owner Owner, held bool) }

// WatchHolds has f called for every collection that is held: at once, and with
// each first Hold before that returns; and with held false after the last release.
// The calls for one owner come one after the other. f must be quick and must not
// call the store. A call of f that is
// under way may outlast stop.
func (s *Store) WatchHolds(f func(owner Owner, held bool)) (stop func()) {
	h := &holder{f}
	s.mu.Lock()
	s.holders = append(slices.Clip(s.holders), h)
	states := make([]*state, 0, len(s.states))
	for _, st := range s.states {
		states = append(states, st)
	}
	s.mu.Unlock()
	for _, st := range states {
		st.mu.Lock()
		if st.holds > 0 {
			f(st.owner, true)
		}
		st.mu.Unlock()
	}
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.holders = slices.DeleteFunc(slices.Clone(s.holders), func(other *holder) bool { return other == h })
	}
}
