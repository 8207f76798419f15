package ccstore

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Limits bound what one owner may store, and all together. 0 is no limit.
type Limits struct {
	Caches  int   // in a collection
	Tickets int   // in a cache; configuration entries do not count
	Bytes   int64 // of memory that a collection takes (Collection.Size)
	Whole   int64 // bytes that the backend keeps for all collections (Backend.Stored)
}

// SetLimits sets other limits for later updates. What is stored beyond them stays.
func (s *Store) SetLimits(l Limits) { s.limits.Store(&l) }

// An allowance is the limits for one change.
type allowance struct {
	Limits
	shared bool // Bytes is what remains of Whole
}

// share returns the limits for a change of a collection. As the backend fills, no
// owner gets more than what remains for others: those who hold most meet a limit
// first.
func (s *Store) share(c *Collection) allowance {
	l := allowance{Limits: *s.limits.Load()}
	if l.Whole == 0 {
		return l
	}
	free := max(0, l.Whole-s.backend.Stored())
	share := max(1, (free+c.Size())/2)
	if l.Bytes == 0 || share < l.Bytes {
		l.Bytes, l.shared = share, true
	}
	return l
}

// bytesOfWhole is the limit that an owner meets before its own limit of bytes.
const bytesOfWhole = "bytes in a store that fills up (max_bytes)"

// ErrQuota is wrapped by a QuotaError.
var ErrQuota = errors.New("quota exceeded")

// A QuotaError reports an update that would exceed a limit of its owner although
// the store removed all it may.
type QuotaError struct {
	Owner Owner
	What  string // "caches", "tickets", "bytes", or bytesOfWhole
	Value int64  // what it would be
	Limit int64
}

func (e *QuotaError) Error() string {
	return fmt.Sprintf("%v: %s of uid %s would be %d, the limit is %d", ErrQuota, e.What, e.Owner, e.Value, e.Limit)
}

// Unwrap returns ErrQuota.
func (e *QuotaError) Unwrap() error { return ErrQuota }

// enforce holds the transaction to the limits, where it took more than was there
// before: what was stored within other limits may stay and be rewritten in
// place. To make room it removes first caches without tickets, then caches of
// which all tickets have expired, then tickets (see evict).
func (tx *Tx) enforce(l allowance) error {
	if !tx.dirty {
		return nil
	}
	for _, id := range tx.touched {
		if err := tx.enforceTickets(id, l.Tickets); err != nil {
			return err
		}
	}
	if err := tx.enforceCaches(l.Caches); err != nil {
		return err
	}
	err := tx.enforceBytes(l.Bytes)
	if e := (*QuotaError)(nil); l.shared && errors.As(err, &e) {
		e.What = bytesOfWhole
	}
	return err
}

func (tx *Tx) enforceTickets(id uint64, limit int) error {
	cache := tx.cacheByID(id)
	if cache == nil || limit == 0 || cache.Tickets() <= limit {
		return nil
	}
	if old := tx.before.cacheByID(id); old != nil && cache.Tickets() <= old.Tickets() {
		return nil
	}
	if !tx.evict(cache, func(*Credential) bool { return cache.Tickets() <= limit }) {
		return &QuotaError{tx.owner, "tickets", int64(cache.Tickets()), int64(limit)}
	}
	return nil
}

func (tx *Tx) enforceCaches(limit int) error {
	if limit == 0 || tx.Len() <= max(limit, tx.before.Len()) {
		return nil
	}
	for _, cache := range tx.evictableCaches() {
		tx.discard(cache, Purged)
		if tx.Len() <= limit {
			return nil
		}
	}
	return &QuotaError{tx.owner, "caches", int64(tx.Len()), int64(limit)}
}

func (tx *Tx) enforceBytes(limit int64) error {
	if limit == 0 || tx.Size() <= max(limit, tx.before.Size()) {
		return nil
	}
	size := tx.Size()
	for _, cache := range tx.evictableCaches() {
		tx.discard(cache, Purged)
		if size -= cache.Size(); size <= limit {
			return nil
		}
	}
	caches := tx.Caches()
	slices.SortStableFunc(caches, func(a, b *Cache) int { return cmp.Compare(b.Size(), a.Size()) })
	for _, cache := range caches { // the one that holds most gives way first
		if tx.evict(cache, func(gone *Credential) bool { size -= gone.size(); return size <= limit }) {
			return nil
		}
	}
	return &QuotaError{tx.owner, "bytes", size, limit}
}

// evictableCaches returns the caches that the transaction did not write and that
// may go, in the order in which they do: those without tickets, the longest
// unchanged first, and then those of which all tickets have expired, the first
// expired first.
func (tx *Tx) evictableCaches() []*Cache {
	trusted := tx.store.Distrust() == 0
	var list []*Cache
	for _, cache := range tx.Caches() {
		if cache.draft != tx.id && (cache.Tickets() == 0 || trusted && cache.Expired(tx.now)) {
			list = append(list, cache)
		}
	}
	slices.SortStableFunc(list, func(a, b *Cache) int {
		endA, _ := a.Expires() // zero without tickets
		endB, _ := b.Expires()
		return cmp.Or(endA.Compare(endB), a.Changed.Compare(b.Changed))
	})
	return list
}

// evict removes tickets of a cache until enough, which is called with each of
// them, is true. It reports whether it was. First go expired tickets, then service
// tickets that no client used lately; never what the transaction itself stored,
// a valid ticket that cannot be fetched again (a TGT, or any ticket in a cache
// without TGT), or a configuration entry.
//
// It costs time for what it removes, and for what was stored or used meanwhile,
// but not for what the cache holds.
func (tx *Tx) evict(cache *Cache, enough func(gone *Credential) bool) bool {
	hasTGT := cache.TGT() != nil
	for cred := range tx.expired(cache) {
		tx.purge(cache.id, cred)
		if enough(cred) {
			return true
		}
	}
	if !hasTGT {
		return false
	}
	for cred := range tx.unused(tx.cacheByID(cache.id)) {
		tx.purge(cache.id, cred).hand = position{cred.end, cred.seq}
		if enough(cred) {
			return true
		}
	}
	return false
}

// expired yields the expired tickets that may go, while the caller removes them:
// service tickets, then TGTs.
func (tx *Tx) expired(cache *Cache) iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) {
		if tx.store.Distrust() > 0 {
			return
		}
		now := cache.KDCTime(tx.now)
		index := cache.byEnd.Copy()
		for _, first := range []*Credential{firstService, firstTGT} {
			for cred := range from(index, first) {
				if cred.kind != first.kind || !cred.IsExpired(now) {
					break
				}
				if cred.draft != tx.id && !yield(cred) {
					return
				}
			}
		}
	}
}

// unused yields the service tickets that may go, while the caller removes them.
// They come in the order of expiry, beginning after the one removed last, in
// rounds (the CLOCK algorithm): one that was used is let off once.
func (tx *Tx) unused(cache *Cache) iter.Seq[*Credential] {
	return func(yield func(*Credential) bool) {
		index := cache.byEnd.Copy()
		hand := &Credential{kind: service, end: cache.hand.end, seq: cache.hand.seq}
		for _, first := range []*Credential{hand, firstService, firstService} {
			for cred := range from(index, first) {
				if cred.kind != service {
					break
				}
				if cred.draft == tx.id || cred.used.Swap(false) || !tx.cacheByID(cache.id).holds(cred) {
					continue
				}
				if !yield(cred) {
					return
				}
			}
		}
	}
}

// purge removes a ticket to make room. It returns its cache, a copy of ours.
func (tx *Tx) purge(id uint64, cred *Credential) *Cache {
	cache := tx.writeCache(tx.cacheByID(id))
	tx.drop(cache, cred, Purged)
	return cache
}

func (c *Cache) holds(cred *Credential) bool {
	held, ok := c.bySeq.Get(cred.seq)
	return ok && held == cred
}
