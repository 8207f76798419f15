package ccstore

import (
	"cmp"
	"time"
)

// ReapAfter returns Options.ReapAfter, or what SetReapAfter set.
func (s *Store) ReapAfter() time.Duration { return time.Duration(s.reapAfter.Load()) }

// SetReapAfter sets how long a cache is kept once it is of no more use.
func (s *Store) SetReapAfter(d time.Duration) { s.reapAfter.Store(int64(d)) }

// Distrust returns for how long the store does not yet trust the wall clock to
// destroy anything for having expired: Options.ReapAfter after a jump, or a day, by
// the boot clock. A clock that is wrong for an hour costs nobody any tickets.
func (s *Store) Distrust() time.Duration {
	since, jumped := s.jumps.Since()
	if !jumped {
		return 0
	}
	return max(0, cmp.Or(s.ReapAfter(), 24*time.Hour)-since)
}

// Reap destroys the caches whose Reaping deadline has come at a time, in seconds
// since 1970, and returns them.
func (tx *Tx) Reap(until int64) []*Cache {
	var gone []*Cache
	for _, cache := range tx.Caches() {
		if cache.Deadlines()[Reaping] <= until {
			gone = append(gone, cache)
		}
	}
	for _, cache := range gone {
		tx.discard(cache, Reaped)
	}
	return gone
}

// discard destroys a cache without a client's request. If it was the default, the
// best of the remaining caches becomes the default (Best).
func (tx *Tx) discard(cache *Cache, why Reason) {
	wasDefault := tx.Default() == cache
	tx.destroy(cache, why)
	if !wasDefault {
		return
	}
	if best := Best(tx.Caches(), tx.now); best != nil {
		tx.SetDefault(best.Name)
	}
}
