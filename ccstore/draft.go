package ccstore

import "sync/atomic"

// A draft is a copy of a collection that is being changed, with the changes made
// so far. The collection that it began as stays as it was.
type draft struct {
	*Collection

	id      uint64
	before  *Collection
	dirty   bool     // Collection is a copy of ours
	names   bool     // its indexes by name and UUID are copies of ours as well
	touched []uint64 // ids of caches that are not, or not any more, those of before
	changes []Change
}

var lastDraft atomic.Uint64

func newDraft(c *Collection) draft { return draft{Collection: c, before: c, id: lastDraft.Add(1)} }

// finish returns the collection with the changes.
func (d *draft) finish() *Collection {
	if d.dirty {
		d.bytes = d.cachesSize()
	}
	return d.Collection
}

// Size returns the bytes of memory that the collection takes with the changes.
func (d *draft) Size() int64 { return d.cachesSize() + int64(len(d.defaultName)) }

func (d *draft) cachesSize() int64 {
	n := d.before.bytes
	for _, id := range d.touched {
		if cache := d.cacheByID(id); cache != nil {
			n += cache.Size()
		}
		if cache := d.before.cacheByID(id); cache != nil {
			n -= cache.Size()
		}
	}
	return n
}

// write returns the collection for writing: a copy, made once.
func (d *draft) write() *Collection {
	if !d.dirty {
		d.Collection = d.clone()
		d.dirty = true
	}
	return d.Collection
}

// writeNames returns the collection for writing to its indexes by name and UUID.
func (d *draft) writeNames() *Collection {
	c := d.write()
	if !d.names {
		c.byName, c.byUUID = c.byName.Copy(), c.byUUID.Copy()
		d.names = true
	}
	return c
}

// writeCache returns the cache for writing: a copy, made once.
func (d *draft) writeCache(old *Cache) *Cache {
	if old.draft == d.id {
		return old
	}
	cache := old.clone(d.id)
	d.write().caches.Set(cache.id, cache)
	d.touched = append(d.touched, cache.id)
	return cache
}

func (d *draft) setDefault(name string) {
	d.write().defaultName = name
	d.changes = append(d.changes, Change{Kind: DefaultChanged})
}

// addNewCache adds a new cache.
func (d *draft) addNewCache(cache *Cache) {
	cache.draft = d.id
	d.touched = append(d.touched, cache.id)
	d.writeNames().insert(cache)
	d.changes = append(d.changes, Change{Kind: CacheCreated, Cache: cache.UUID})
}

// changed notes that attributes of a cache changed.
func (d *draft) changed(cache *Cache) {
	d.changes = append(d.changes, Change{Kind: CacheChanged, Cache: cache.UUID})
}

func (d *draft) dropCache(cache *Cache, reason Reason) {
	if cache.draft != d.id {
		d.touched = append(d.touched, cache.id)
	}
	c := d.writeNames()
	c.caches.Delete(cache.id)
	c.byName.Delete(cache.Name)
	c.byUUID.Delete(string(cache.UUID[:]))
	d.changes = append(d.changes, Change{Kind: CacheDestroyed, Cache: cache.UUID, Reason: reason})
}

func (d *draft) renameCache(old *Cache, name string) {
	cache := d.writeCache(old)
	c := d.writeNames()
	c.byName.Delete(cache.Name)
	cache.Name = name
	c.byName.Set(name, cache.id)
	d.changed(cache)
}

// clearCache removes all credentials of a cache of ours.
func (d *draft) clearCache(cache *Cache) {
	for cred := range cache.Credentials() {
		d.removed(cache, cred, Reinitialized)
	}
	cache.clear()
}

// moveCredentials gives the credentials of from to a cache of ours in place of its
// own. It returns from as it is afterwards.
func (d *draft) moveCredentials(from, to *Cache) *Cache {
	d.clearCache(to)
	from = d.writeCache(from)
	moved := from.clone(d.id)
	moved.UUID, moved.Name, moved.Principal, moved.KDCOffset = to.UUID, to.Name, to.Principal, to.KDCOffset
	moved.Label, moved.Changed, moved.id, moved.nextSeq = to.Label, to.Changed, to.id, max(to.nextSeq, from.nextSeq)
	moved.isPut, moved.renewal = to.isPut, to.renewal
	*to = *moved
	for cred := range to.Credentials() {
		d.changes = append(d.changes, Change{Kind: CredentialAdded, Cache: to.UUID, Credential: cred})
	}
	from.clear()
	return from
}

// putCredential puts a credential into a cache of ours, in the place that its
// sequence number gives it.
func (d *draft) putCredential(cache *Cache, cred *Credential) {
	if old, ok := cache.bySeq.Get(cred.seq); ok {
		d.removed(cache, old, Replaced)
	}
	cache.put(cred)
	d.changes = append(d.changes, Change{Kind: CredentialAdded, Cache: cache.UUID, Credential: cred})
}

// dropCredential removes a credential of a cache of ours.
func (d *draft) dropCredential(cache *Cache, cred *Credential, reason Reason) {
	cache.drop(cred)
	d.removed(cache, cred, reason)
}

func (d *draft) removed(cache *Cache, cred *Credential, reason Reason) {
	d.changes = append(d.changes, Change{Kind: CredentialRemoved, Cache: cache.UUID, Credential: cred, Reason: reason})
}
