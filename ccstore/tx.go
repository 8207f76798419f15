package ccstore

import (
	"bytes"
	"slices"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Tx is a transaction that changes one collection. It reads as the collection
// with its own changes made. It is used by the closure that it was given to, and
// not after that.
type Tx struct {
	*Collection

	label    string // of new caches
	now      time.Time
	distrust func() time.Duration // of the clock, see Store.Distrust
	dirty    bool                 // Collection is a copy of ours
	mine     map[uint64]bool      // ids of caches that are copies of ours
	stored   map[*Credential]bool // what this transaction stored
	ops      []Op
	changes  []Change
}

func newTx(c *Collection, now time.Time, distrust func() time.Duration) *Tx {
	return &Tx{Collection: c, now: now, distrust: distrust}
}

// SetLabel sets the SELinux label that caches made from here on bear.
func (tx *Tx) SetLabel(label string) { tx.label = label }

// SetDefault makes name the default cache's name. There need not be such a cache.
func (tx *Tx) SetDefault(name string) {
	if tx.defaultName == name {
		return
	}
	tx.write().defaultName = name
	tx.ops = append(tx.ops, SetDefault{name})
	tx.changes = append(tx.changes, Change{Kind: DefaultChanged})
}

// Initialize makes an empty cache for principal: a new one, or the cache of that
// name emptied, which keeps its UUID.
func (tx *Tx) Initialize(name string, principal ccache.Principal) {
	tx.Replace(name, principal, 0, nil)
}

// Replace does what Initialize does, and then sets the KDC offset and stores
// the credentials, of which it keeps copies.
func (tx *Tx) Replace(name string, principal ccache.Principal, kdcOffset int32, credentials []*ccache.Credential) {
	cache := tx.emptyCache(name)
	cache.Principal = principal
	cache.KDCOffset = kdcOffset
	tx.putCache(cache) // there must be a cache that credentials belong to
	for _, cred := range credentials {
		tx.store(cache, cred)
	}
	if len(credentials) > 0 {
		tx.putCache(cache) // now its end is known
	}
}

// Destroy removes a cache. It fails with ErrNoCache.
func (tx *Tx) Destroy(name string) error {
	cache, err := tx.Cache(name)
	if err != nil {
		return err
	}
	tx.destroy(cache, Removed)
	return nil
}

func (tx *Tx) destroy(cache *Cache, why Reason) {
	c := tx.write()
	c.caches.Delete(cache.id)
	c.byName.Delete(cache.Name)
	c.byUUID.Delete(string(cache.UUID[:]))
	tx.ops = append(tx.ops, DeleteCache{cache.id, why})
	tx.changes = append(tx.changes, Change{Kind: CacheDestroyed, Cache: cache.UUID, Reason: why})
}

// Move gives the contents of the cache from to the cache to, which is made if
// it is not there and keeps its UUID if it is, and destroys from. Moving a
// cache to itself changes nothing. It fails with ErrNoCache.
func (tx *Tx) Move(from, to string) error {
	cache, err := tx.Cache(from)
	if err != nil || from == to {
		return err
	}
	tx.Copy(cache, to)
	return tx.Destroy(from)
}

// Copy gives the contents of cache, which may be of another collection, to the
// cache of that name, as Replace does.
func (tx *Tx) Copy(cache *Cache, name string) {
	creds := make([]*ccache.Credential, 0, cache.Len())
	for cred := range cache.Credentials() {
		creds = append(creds, cred.Credential)
	}
	tx.Replace(name, cache.Principal, cache.KDCOffset, creds)
}

// SetKDCOffset sets the seconds between the local clock and the KDC's. It fails
// with ErrNoCache.
func (tx *Tx) SetKDCOffset(name string, seconds int32) error {
	old, err := tx.Cache(name)
	if err != nil || old.KDCOffset == seconds {
		return err
	}
	cache := tx.writeCache(old)
	cache.KDCOffset = seconds
	tx.putCache(cache)
	tx.changes = append(tx.changes, Change{Kind: CacheChanged, Cache: cache.UUID})
	return nil
}

// Store adds a copy of cred to a cache, in the place of the one that it
// replaces if there is one (ccache.Credential.Replaces), else at the end. It
// fails with ErrNoCache.
func (tx *Tx) Store(name string, cred *ccache.Credential) error {
	old, err := tx.Cache(name)
	if err != nil {
		return err
	}
	cache := tx.writeCache(old)
	tx.store(cache, cred)
	tx.putCache(cache)
	return nil
}

// Remove removes every credential that m matches, and returns how many. It
// fails with ErrNoCache.
func (tx *Tx) Remove(name string, m *ccache.Match) (int, error) {
	old, err := tx.Cache(name)
	if err != nil {
		return 0, err
	}
	var gone []*Credential
	for cred := range old.candidates(m) {
		if m.Matches(cred.Credential) {
			gone = append(gone, cred)
		}
	}
	tx.remove(old, gone)
	return len(gone), nil
}

// RemoveByUUID removes the credentials with those UUIDs, and returns how many
// there were. It fails with ErrNoCache.
func (tx *Tx) RemoveByUUID(name string, ids []uuid.UUID) (int, error) {
	old, err := tx.Cache(name)
	if err != nil {
		return 0, err
	}
	var gone []*Credential
	for _, id := range ids {
		cred, err := old.Credential(id)
		if err == nil && !slices.Contains(gone, cred) {
			gone = append(gone, cred)
		}
	}
	tx.remove(old, gone)
	return len(gone), nil
}

// remove removes credentials of a cache.
func (tx *Tx) remove(old *Cache, gone []*Credential) {
	if len(gone) == 0 {
		return
	}
	cache := tx.writeCache(old)
	for _, cred := range gone {
		cache.drop(cred)
		tx.ops = append(tx.ops, DeleteCredential{cache.id, cred.seq, Removed})
		tx.removed(cache, cred, Removed)
	}
	tx.putCache(cache)
}

// write returns the collection for writing: a copy, made once a transaction.
func (tx *Tx) write() *Collection {
	if !tx.dirty {
		tx.Collection = tx.clone()
		tx.dirty = true
		tx.mine = make(map[uint64]bool)
		tx.stored = make(map[*Credential]bool)
	}
	return tx.Collection
}

// writeCache returns the cache for writing: a copy, made once a transaction.
func (tx *Tx) writeCache(old *Cache) *Cache {
	c := tx.write()
	if tx.mine[old.id] {
		return old
	}
	cache := old.clone()
	c.caches.Set(cache.id, cache)
	tx.mine[cache.id] = true
	return cache
}

// emptyCache returns the cache of that name for writing, without credentials:
// a new one if there was none.
func (tx *Tx) emptyCache(name string) *Cache {
	c := tx.write()
	old, err := c.Cache(name)
	if err != nil {
		cache := newCache(c.nextID, uuid.New(), name)
		cache.Label = tx.label
		c.nextID++
		tx.mine[cache.id] = true
		c.caches.Set(cache.id, cache)
		c.byName.Set(name, cache.id)
		c.byUUID.Set(string(cache.UUID[:]), cache.id)
		tx.changes = append(tx.changes, Change{Kind: CacheCreated, Cache: cache.UUID})
		return cache
	}
	cache := tx.writeCache(old)
	for cred := range cache.Credentials() {
		tx.removed(cache, cred, Reinitialized)
	}
	cache.clear()
	tx.ops = append(tx.ops, ClearCache{cache.id})
	tx.changes = append(tx.changes, Change{Kind: CacheChanged, Cache: cache.UUID})
	return cache
}

// store puts a copy of c into cache, a copy of ours.
func (tx *Tx) store(cache *Cache, c *ccache.Credential) {
	cred := &Credential{Credential: cloneCredential(c), UUID: uuid.New(), seq: cache.nextSeq}
	for old := range cache.withServer(c.Server.Key()) {
		if c.Replaces(old.Credential) {
			cred.seq = old.seq
			tx.removed(cache, old, Replaced)
			break
		}
	}
	cache.put(cred)
	tx.stored[cred] = true
	tx.ops = append(tx.ops, PutCredential{CredentialRecord{
		Cache: cache.id, Seq: cred.seq, UUID: cred.UUID, Data: cred.Bytes(),
	}})
	tx.changes = append(tx.changes, Change{Kind: CredentialAdded, Cache: cache.UUID, Credential: cred})
}

// cloneCredential returns a copy of c that shares no memory with it.
func cloneCredential(c *ccache.Credential) *ccache.Credential {
	d, err := ccache.ParseCredential(bytes.Clone(c.Bytes()))
	if err != nil {
		panic("credential does not survive marshalling: " + err.Error())
	}
	return d
}

// putCache notes that cache, a copy of ours, changed.
func (tx *Tx) putCache(cache *Cache) {
	cache.Changed = tx.now.Truncate(time.Second)
	tx.ops = append(tx.ops, PutCache{cache.record()})
}

func (tx *Tx) removed(cache *Cache, cred *Credential, why Reason) {
	tx.changes = append(tx.changes, Change{Kind: CredentialRemoved, Cache: cache.UUID, Credential: cred, Reason: why})
}
