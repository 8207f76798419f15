package ccstore

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"time"
)

// Limits bound what one owner may store. 0 is no limit.
type Limits struct {
	Caches  int   // in a collection
	Tickets int   // in a cache; configuration entries do not count
	Bytes   int64 // of stored credentials in a collection
}

// ErrQuota is wrapped by a QuotaError.
var ErrQuota = errors.New("quota exceeded")

// A QuotaError says that an update would exceed a limit of its owner, and that
// not enough could be removed to make room.
type QuotaError struct {
	Owner Owner
	What  string // "caches", "tickets" or "bytes"
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
// which all tickets have expired, then expired tickets, then the service tickets
// used longest ago; never what the transaction itself stored, a valid ticket that
// cannot be fetched again (a TGT, or any ticket in a cache without TGT), or a configuration entry.
func (tx *Tx) enforce(before *Collection, l Limits) error {
	if !tx.dirty {
		return nil
	}
	for id := range tx.mine {
		if err := tx.enforceTickets(before, id, l.Tickets); err != nil {
			return err
		}
	}
	if err := tx.enforceCaches(before, l.Caches); err != nil {
		return err
	}
	return tx.enforceBytes(before, l.Bytes)
}

func (tx *Tx) enforceTickets(before *Collection, id uint64, limit int) error {
	cache := tx.cacheByID(id)
	if cache == nil || limit == 0 || cache.tickets <= limit {
		return nil
	}
	if was := before.cacheByID(id); was != nil && cache.tickets <= was.tickets {
		return nil
	}
	for _, t := range tx.evictable([]*Cache{cache}) {
		if cache.tickets <= limit {
			return nil
		}
		tx.purge(t)
	}
	if cache.tickets > limit {
		return &QuotaError{tx.owner, "tickets", int64(cache.tickets), int64(limit)}
	}
	return nil
}

func (tx *Tx) enforceCaches(before *Collection, limit int) error {
	if limit == 0 || tx.Len() <= max(limit, before.Len()) {
		return nil
	}
	for _, cache := range tx.evictableCaches() {
		if tx.Len() <= limit {
			return nil
		}
		tx.discard(cache, Purged)
	}
	if tx.Len() > limit {
		return &QuotaError{tx.owner, "caches", int64(tx.Len()), int64(limit)}
	}
	return nil
}

func (tx *Tx) enforceBytes(before *Collection, limit int64) error {
	if limit == 0 || tx.Size() <= max(limit, before.Size()) {
		return nil
	}
	for _, cache := range tx.evictableCaches() {
		if tx.Size() <= limit {
			return nil
		}
		tx.discard(cache, Purged)
	}
	size := tx.Size()
	if size <= limit {
		return nil
	}
	for _, t := range tx.evictable(tx.Caches()) {
		if size <= limit {
			return nil
		}
		size -= int64(len(t.cred.Bytes()))
		tx.purge(t)
	}
	if size > limit {
		return &QuotaError{tx.owner, "bytes", size, limit}
	}
	return nil
}

// evictableCaches returns the caches that the transaction did not write and that
// may go, in the order in which they do: those without tickets, the longest
// unchanged first, and then those of which all tickets have expired, the first
// expired first.
func (tx *Tx) evictableCaches() []*Cache {
	trusted := tx.distrust() == 0
	var list []*Cache
	for _, cache := range tx.Caches() {
		if !tx.mine[cache.id] && (cache.tickets == 0 || trusted && cache.Expired(tx.now)) {
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

// An eviction is a ticket that may go, from its cache.
type eviction struct {
	cacheID uint64
	cred    *Credential
	expired bool
	end     int64 // by the local clock
}

// evictable returns the tickets that may go, in the order in which they do.
func (tx *Tx) evictable(caches []*Cache) []eviction {
	trusted := tx.distrust() == 0
	var list []eviction
	for _, cache := range caches {
		hasTGT, now := cache.TGT() != nil, cache.KDCTime(tx.now)
		for cred := range cache.Credentials() {
			expired := trusted && cred.IsExpired(now)
			if cred.IsConfig() || tx.stored[cred] || !expired && (!hasTGT || cred.IsTGT()) {
				continue
			}
			list = append(list, eviction{cache.id, cred, expired, cache.localTime(endOf(cred))})
		}
	}
	slices.SortStableFunc(list, func(a, b eviction) int {
		switch {
		case a.expired && b.expired:
			return cmp.Compare(a.end, b.end)
		case a.expired:
			return -1
		case b.expired:
			return 1
		}
		return cmp.Compare(a.cred.used.Load(), b.cred.used.Load())
	})
	return list
}

func (tx *Tx) purge(t eviction) {
	cache := tx.writeCache(tx.cacheByID(t.cacheID))
	tx.drop(cache, t.cred, Purged)
}

// Use notes that the credential was of use to somebody at now. What is used
// longest ago goes first when room must be made.
func (c *Credential) Use(now time.Time) { c.used.Store(now.UnixNano()) }
