package ccstore

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// fromRecord makes a collection of what a backend keeps. Rows that cannot be
// read are left where they are and out of the collection: each is named in
// unreadable.
func fromRecord(owner Owner, r *Record) (c *Collection, unreadable []error) {
	c = newCollection(owner)
	c.revision = r.Revision
	c.defaultName = r.Default
	for _, row := range r.Caches {
		c.nextID = max(c.nextID, row.ID+1)
		principal, err := ccache.ParsePrincipal(row.Principal)
		if err != nil {
			unreadable = append(unreadable, fmt.Errorf("cache %s: principal: %w", row.UUID, err))
			continue
		}
		cache := newCache(row.ID, row.UUID, row.Name)
		cache.Principal = principal
		cache.KDCOffset = row.KDCOffset
		cache.Label = row.Label
		cache.Changed = time.Unix(row.Changed, 0)
		c.caches.Set(cache.id, cache)
		c.byName.Set(cache.Name, cache.id)
		c.byUUID.Set(string(cache.UUID[:]), cache.id)
	}
	slices.SortFunc(r.Credentials, func(a, b CredentialRecord) int {
		return cmp.Or(cmp.Compare(a.Cache, b.Cache), cmp.Compare(a.Seq, b.Seq))
	})
	for _, row := range r.Credentials {
		cache, ok := c.caches.Get(row.Cache)
		if !ok {
			unreadable = append(unreadable, fmt.Errorf("credential %s: its cache cannot be read", row.UUID))
			continue
		}
		cache.nextSeq = max(cache.nextSeq, row.Seq+1)
		cred, err := ccache.ParseCredential(row.Data)
		if err != nil {
			unreadable = append(unreadable, fmt.Errorf("credential %s of cache %s: %w", row.UUID, cache.UUID, err))
			continue
		}
		cache.put(&Credential{Credential: cred, UUID: row.UUID, seq: row.Seq})
	}
	return c, unreadable
}
