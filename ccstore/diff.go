package ccstore

// diff returns what must change in before to make it after. Both are of one
// owner. It costs about as much as to look at every credential in both; a cache
// that both share costs nothing. Only the reason of a removal is lost: it is
// Removed, or Replaced where another credential has the place.
func diff(before, after *Collection) []Change {
	var changes []Change
	before.caches.Scan(func(id uint64, cache *Cache) bool {
		if next := after.cacheByID(id); next == nil || next.UUID != cache.UUID {
			changes = append(changes, Change{Kind: CacheDestroyed, Cache: cache.UUID, Reason: Removed})
		}
		return true
	})
	after.caches.Scan(func(id uint64, next *Cache) bool {
		cache := before.cacheByID(id)
		if cache == nil || cache.UUID != next.UUID {
			changes = append(changes, Change{Kind: CacheCreated, Cache: next.UUID})
			cache = newCache(id, next.UUID, next.Name)
		} else if !cache.sameAttributes(next) {
			changes = append(changes, Change{Kind: CacheChanged, Cache: next.UUID})
		}
		changes = append(changes, diffCredentials(cache, next)...)
		return true
	})
	if before.defaultName != after.defaultName {
		changes = append(changes, Change{Kind: DefaultChanged})
	}
	return changes
}

// diffCredentials does what diff does, for the credentials of one cache.
func diffCredentials(before, after *Cache) []Change {
	if before == after {
		return nil
	}
	var changes []Change
	removed := func(cred *Credential, why Reason) {
		changes = append(changes, Change{Kind: CredentialRemoved, Cache: before.UUID, Credential: cred, Reason: why})
	}
	for cred := range before.Credentials() {
		if _, ok := after.bySeq.Get(cred.seq); !ok {
			removed(cred, Removed)
		}
	}
	for next := range after.Credentials() {
		cred, ok := before.bySeq.Get(next.seq)
		if ok && cred.UUID == next.UUID {
			continue
		}
		if ok {
			removed(cred, Replaced)
		}
		changes = append(changes, Change{Kind: CredentialAdded, Cache: after.UUID, Credential: next})
	}
	return changes
}

// sameAttributes reports whether c and d are the same but for their credentials
// and when those changed.
func (c *Cache) sameAttributes(d *Cache) bool {
	return c.Name == d.Name && c.Principal.Equal(d.Principal) && c.KDCOffset == d.KDCOffset && c.Label == d.Label &&
		c.renewal == d.renewal
}
