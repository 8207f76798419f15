package ccstore

import (
	"context"
	"math"

	"github.com/google/uuid"
)

// A DeadlineKind says what is due at a deadline of a cache.
type DeadlineKind int

// The kinds of deadlines. A new one takes a constant, a line in
// Cache.Deadlines and a column in each backend that has columns.
const (
	Expiry   DeadlineKind = iota // the TGT expires, or the last ticket in a cache without TGT
	Reaping                      // the cache is of no more use: it is destroyed Options.ReapAfter later
	Renewing                     // the TGT is to be renewed (Cache.RenewalDue)

	DeadlineKinds // the number of kinds
)

// Deadlines holds the deadline of each kind, by the local clock in seconds since
// 1970; or Never.
type Deadlines [DeadlineKinds]int64

// Never is the deadline that never comes.
const Never = math.MaxInt64

// A Deadline is one deadline of a cache, as CacheRecord has it.
type Deadline struct {
	Owner Owner
	Cache uuid.UUID
	Kind  DeadlineKind
	At    int64 // seconds since 1970
}

// Deadlines returns the deadlines of the cache. It is of no more use from its last
// change on if it has no tickets, or from the end of its last ticket on if that is
// later: a client that stores an expired ticket may go on to store a valid one.
func (c *Cache) Deadlines() Deadlines {
	reaping := c.Changed.Unix()
	if c.Tickets() > 0 {
		reaping = max(reaping, c.localTime(c.latestEnd()))
	}
	return Deadlines{Expiry: c.validUntil(), Reaping: reaping, Renewing: c.renewalDue()}
}

// SetDeadlines sets the deadlines of the caches to what follows from the rest of the
// record, for a backend that does not keep them.
func (r *Record) SetDeadlines(owner Owner) {
	c, _ := fromRecord(owner, r)
	for i := range r.Caches {
		row := &r.Caches[i]
		row.Deadlines = Deadlines{Expiry: Never, Reaping: Never, Renewing: Never}
		if cache := c.cacheByID(row.ID); cache != nil {
			row.Deadlines = cache.Deadlines()
		}
	}
}

// Due returns the deadlines of a kind that come after one time and not after
// another, in seconds since 1970, as Backend.Due does. It loads no collection.
func (s *Store) Due(ctx context.Context, kind DeadlineKind, after, until int64, limit int) ([]Deadline, error) {
	if err := s.beginCall(); err != nil {
		return nil, err
	}
	defer s.active.Done()
	list, err := s.backend.Due(ctx, kind, after, until, limit)
	if err != nil {
		return nil, backendError("list deadlines", err)
	}
	return list, nil
}
