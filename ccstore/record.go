package ccstore

import (
	"fmt"
	"slices"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A repair is a change that makes good what was found wrong with a record.
type repair struct {
	op   Op
	err  error // what was found
	lost bool  // something is quarantined for it
}

// fromRecord makes a collection of what a backend keeps. What cannot be read is
// left out, and is to be quarantined by the repairs.
func fromRecord(owner Owner, r *Record) (c *Collection, repairs []repair) {
	c = newCollection(owner)
	c.revision = r.Revision
	c.defaultName = r.Default
	for _, row := range r.Caches {
		if err := c.addCache(row); err != nil {
			repairs = append(repairs, repair{
				op: QuarantineCache{row.ID, err.Error()}, err: fmt.Errorf("cache %s: %w", row.UUID, err), lost: true,
			})
		}
	}
	slices.SortFunc(r.Credentials, CredentialRecord.Compare)
	for _, row := range r.Credentials {
		// Without its cache it is as much quarantined as that is.
		cache := c.cacheByID(row.Cache)
		if cache == nil {
			continue
		}
		if err := cache.addCredential(row); err != nil {
			repairs = append(repairs, repair{
				op:   QuarantineCredential{row.Cache, row.Seq, err.Error()},
				err:  fmt.Errorf("credential %s of cache %s: %w", row.UUID, cache.UUID, err),
				lost: true,
			})
		}
	}
	for _, row := range r.Caches {
		cache := c.cacheByID(row.ID)
		if cache == nil {
			continue
		}
		c.bytes += cache.Size()
		if cache.Deadlines() != row.Deadlines {
			repairs = append(repairs, repair{
				op:  PutCache{cache.record()},
				err: fmt.Errorf("cache %s: its deadlines are not the stored ones", cache.UUID),
			})
		}
	}
	return c, repairs
}

// addCache adds a stored cache to c, without credentials.
func (c *Collection) addCache(row CacheRecord) error {
	c.nextID = max(c.nextID, row.ID+1)
	if row.Quarantined != "" {
		c.quarantined++
		return nil
	}
	cache, err := readCache(row)
	if err != nil {
		c.quarantined++
		return err
	}
	c.insert(cache)
	return nil
}

// insert adds a cache to c, a copy of ours.
func (c *Collection) insert(cache *Cache) {
	c.nextID = max(c.nextID, cache.id+1)
	c.caches.Set(cache.id, cache)
	c.byName.Set(cache.Name, cache.id)
	c.byUUID.Set(string(cache.UUID[:]), cache.id)
}

// readCache returns a stored cache, without credentials.
func readCache(row CacheRecord) (*Cache, error) {
	principal, err := readPrincipal(row)
	if err != nil {
		return nil, err
	}
	cache := newCache(row.ID, row.UUID, row.Name)
	cache.Principal = principal
	cache.KDCOffset = row.KDCOffset
	cache.Label = row.Label
	cache.Changed = time.Unix(row.Changed, 0)
	cache.renewal = readRenewal(row.Renewal)
	return cache, nil
}

func readPrincipal(row CacheRecord) (ccache.Principal, error) {
	if row.Err != nil {
		return ccache.Principal{}, row.Err
	}
	principal, err := ccache.ParsePrincipal(row.Principal)
	if err != nil {
		return ccache.Principal{}, fmt.Errorf("principal: %w", err)
	}
	return principal, nil
}

// addCredential adds a stored credential to c.
func (c *Cache) addCredential(row CredentialRecord) error {
	c.nextSeq = max(c.nextSeq, row.Seq+1)
	if row.Quarantined != "" {
		c.quarantined++
		return nil
	}
	cred, err := readCredential(row)
	if err != nil {
		c.quarantined++
		return err
	}
	c.put(newCredential(cred, row.UUID, row.Seq))
	return nil
}

func readCredential(row CredentialRecord) (*ccache.Credential, error) {
	if row.Err != nil {
		return nil, row.Err
	}
	return ccache.ParseCredential(row.Data)
}

// record returns what a backend keeps of the cache.
func (c *Cache) record() CacheRecord {
	return CacheRecord{
		ID:        c.id,
		UUID:      c.UUID,
		Name:      c.Name,
		Principal: c.Principal.Append(nil),
		KDCOffset: c.KDCOffset,
		Label:     c.Label,
		Changed:   c.Changed.Unix(),
		Deadlines: c.Deadlines(),
		Renewal:   c.renewal.encode(),
	}
}
