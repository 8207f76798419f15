package ccstore

import (
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Times in tickets are of the KDC's clock. A cache knows how much that differs
// from the local clock, so that every question about the expiry of its tickets
// goes through this file.

// KDCTime returns the time of the KDC's clock when the local clock shows local.
func (c *Cache) KDCTime(local time.Time) time.Time {
	return local.Add(time.Duration(c.KDCOffset) * time.Second)
}

// localTime returns the time of the local clock when the KDC's shows kdc, both in
// seconds since 1970. Never stays Never.
func (c *Cache) localTime(kdc int64) int64 {
	if kdc == Never {
		return Never
	}
	return kdc - int64(c.KDCOffset)
}

// Expires returns when the last of the tickets expires, by the local clock. It is
// false if a ticket never does, and if the cache has no tickets.
func (c *Cache) Expires() (time.Time, bool) {
	end := c.latestEnd()
	if c.Tickets() == 0 || end == Never {
		return time.Time{}, false
	}
	return time.Unix(c.localTime(end), 0), true
}

// Expired reports whether the cache has tickets, all of which have expired when
// the local clock shows now.
func (c *Cache) Expired(now time.Time) bool {
	expires, ok := c.Expires()
	return ok && !now.Before(expires)
}

// validUntil returns the end of the TGT, or of the last ticket in a cache without
// TGT, by the local clock in seconds since 1970; Never without tickets.
func (c *Cache) validUntil() int64 {
	if tgt := c.TGT(); tgt != nil {
		return c.localTime(tgt.end)
	}
	if c.Tickets() == 0 {
		return Never
	}
	return c.localTime(c.latestEnd())
}

// Best returns the most useful of caches when the local clock shows now: of those
// with a valid TGT the one whose TGT expires last, else of those with valid tickets
// the one whose last ticket does. It is nil if no ticket is valid.
func Best(caches []*Cache, now time.Time) *Cache {
	var best *Cache
	rank := func(cache *Cache) int {
		tgt := cache.TGT()
		switch {
		case tgt != nil && tgt.State(cache.KDCTime(now), 0) == ccache.Valid:
			return 2
		case tgt == nil && cache.Tickets() > 0 && !cache.Expired(now):
			return 1
		}
		return 0
	}
	bestRank := 0
	for _, cache := range caches {
		r := rank(cache)
		if r > bestRank || r > 0 && r == bestRank && cache.validUntil() > best.validUntil() {
			best, bestRank = cache, r
		}
	}
	return best
}

// endOf returns the end of a ticket by the KDC's clock in seconds since 1970, or
// Never.
func endOf(cred *ccache.Credential) int64 {
	if end, ok := cred.Expires(); ok {
		return end.Unix()
	}
	return Never
}

// latestEnd returns the end of the ticket that expires last, as endOf does; 0
// without tickets.
func (c *Cache) latestEnd() int64 {
	var end int64
	for _, last := range []*Credential{c.TGT(), c.lastService()} {
		if last != nil {
			end = max(end, last.end)
		}
	}
	return end
}
