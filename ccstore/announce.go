package ccstore

import "context"

// Announce calls f with the collection of owner, and has every watcher called
// with the notices that it returns, if there are any. They have their place in the
// order of the owner's events: f gets what the event before left. f must be quick
// and must not call the store.
func (s *Store) Announce(ctx context.Context, owner Owner, f func(*Collection) []Notice) error {
	st, err := s.useState(owner)
	if err != nil {
		return err
	}
	defer s.releaseState(st)
	st.loading.Lock() // which every event is published under
	defer st.loading.Unlock()
	if st.current.Load() == nil {
		if err := s.reload(ctx, st); err != nil {
			return err
		}
	}
	c := st.current.Load()
	if notices := f(c); len(notices) > 0 {
		s.publish(Event{Owner: owner, Before: c, After: c, Notices: notices})
	}
	return nil
}
