package ccstore

import "context"

// A Health says how a store is.
type Health struct {
	Stored      int64 // bytes that the backend keeps, about
	Quarantined int   // caches and credentials of the backend that cannot be read
	Loaded      int   // collections in memory
	InMemory    int64 // their bytes
	Unreadable  bool  // the last attempt to load from the backend failed
	Unwritable  bool  // the last commit failed
}

// Health returns how the store is now.
func (s *Store) Health(ctx context.Context) (Health, error) {
	if err := s.beginCall(); err != nil {
		return Health{}, err
	}
	defer s.active.Done()
	h := Health{
		Stored: s.backend.Stored(), Loaded: s.Loaded(), InMemory: s.resident.bytes.Load(),
		Unreadable: s.reading.goesOn(), Unwritable: s.writing.goesOn(),
	}
	var err error
	if h.Quarantined, err = s.backend.Quarantined(ctx); err != nil {
		return h, backendError("count what is quarantined", err)
	}
	return h, nil
}
