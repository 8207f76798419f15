package ccstore

import (
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Times in tickets are by the KDC's clock. A cache has the difference from the local
// clock, the KDC offset. Whatever depends on the expiry of its tickets calls the
// functions of this file.

// KDCTime converts a time of the local clock to the KDC's clock.
func (c *Cache) KDCTime(local time.Time) time.Time {
	return local.Add(time.Duration(c.KDCOffset) * time.Second)
}

// localTime converts a time of the KDC's clock to the local clock, both in seconds
// since 1970. Never stays Never.
func (c *Cache) localTime(kdc int64) int64 {
	if kdc == Never {
		return Never
	}
	return kdc - int64(c.KDCOffset)
}

// Expires returns when the last ticket expires, by the local clock. The result is
// false if a ticket never expires, or the cache has no tickets.
func (c *Cache) Expires() (time.Time, bool) {
	end := c.latestEnd()
	if c.Tickets() == 0 || end == Never {
		return time.Time{}, false
	}
	return time.Unix(c.localTime(end), 0), true
}

// Expired reports whether all tickets have expired at now, by the local clock. A
// cache without tickets is not expired.
func (c *Cache) Expired(now time.Time) bool {
	expires, ok := c.Expires()
	return ok && !now.Before(expires)
}

// validUntil returns the end of the TGT, or without a TGT the latest end of a
// ticket, by the local clock in seconds since 1970; Never without tickets.
func (c *Cache) validUntil() int64 {
	if tgt := c.TGT(); tgt != nil {
		return c.localTime(tgt.end)
	}
	if c.Tickets() == 0 {
		return Never
	}
	return c.localTime(c.latestEnd())
}

// Best returns the most useful of caches at now, by the local clock: one with a
// valid TGT, or else one without a TGT that has tickets which have not all expired.
// Among several, it is the one whose TGT, or last ticket, expires last. Best returns
// nil if there is none.
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
