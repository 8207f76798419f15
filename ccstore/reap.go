package ccstore

import "context"

// Due returns the caches whose tickets end before or at a time, as Backend.Due
// does. Nothing is loaded for it.
func (s *Store) Due(ctx context.Context, before int64, limit int) ([]Deadline, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.active.Done()
	list, err := s.backend.Due(ctx, before, limit)
	if err != nil {
		return nil, backendError("list what is due", err)
	}
	return list, nil
}

// Reap destroys the caches that ended before or at a time (Cache.Ends), and
// returns them.
func (tx *Tx) Reap(before int64) []*Cache {
	var gone []*Cache
	for _, cache := range tx.Caches() {
		if cache.Ends() <= before {
			gone = append(gone, cache)
		}
	}
	for _, cache := range gone {
		tx.discard(cache, Reaped)
	}
	return gone
}

// discard destroys a cache on the store's own account. If it was the default,
// the default moves to the valid cache whose TGT ends last, if there is one.
func (tx *Tx) discard(cache *Cache, why Reason) {
	wasDefault := tx.Default() == cache
	tx.destroy(cache, why)
	if !wasDefault {
		return
	}
	var next *Cache
	for _, c := range tx.Caches() {
		if tgt := c.TGT(); tgt != nil && !tgt.Expired(tx.now) && (next == nil || tgt.EndTime > next.TGT().EndTime) {
			next = c
		}
	}
	if next != nil {
		tx.SetDefault(next.Name)
	}
}
