package ccstore

import (
	"runtime"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Tx is a transaction that changes one collection. It reads as the collection
// with its own changes made. It is valid in the closure that it is given to.
type Tx struct {
	draft

	label string // of new caches
	now   time.Time
	store *Store
	ops   []Op
}

func (s *Store) newTx(c *Collection) *Tx {
	return &Tx{draft: newDraft(c), now: s.clock.Now(), store: s}
}

// SetLabel sets the SELinux label that caches made from here on bear.
func (tx *Tx) SetLabel(label string) { tx.label = label }

// SetDefault makes name the default cache's name. There need not be such a cache.
func (tx *Tx) SetDefault(name string) {
	if tx.DefaultName() == name {
		return
	}
	tx.setDefault(name)
	tx.ops = append(tx.ops, SetDefault{name})
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
	tx.putCache(cache)
	for _, cred := range credentials {
		tx.storeCredential(cache, cred)
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

func (tx *Tx) destroy(cache *Cache, reason Reason) {
	tx.dropCache(cache, reason)
	tx.ops = append(tx.ops, DeleteCache{cache.id, reason})
}

// Move renames the cache from to to. If there is a cache to, that keeps its UUID
// and gets the contents of from, which is destroyed. Moving a cache to itself
// changes nothing. It fails with ErrNoCache. It rewrites no credential.
func (tx *Tx) Move(from, to string) error {
	cache, err := tx.Cache(from)
	if err != nil || from == to {
		return err
	}
	target, err := tx.Cache(to)
	if err != nil {
		tx.renameCache(cache, to)
		tx.ops = append(tx.ops, RenameCache{cache.id, to})
		return nil
	}
	target = tx.writeCache(target)
	target.Principal = cache.Principal
	target.KDCOffset = cache.KDCOffset
	target.renewal = Renewal{Off: target.renewal.Off}
	tx.putCache(target)
	tx.changed(target)
	cache = tx.moveCredentials(cache, target)
	tx.ops = append(tx.ops, MoveCredentials{From: cache.id, To: target.id})
	tx.destroy(cache, Removed)
	return nil
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
	tx.changed(cache)
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
	tx.storeCredential(cache, cred)
	tx.putCache(cache)
	return nil
}

// Remove removes every credential that m matches, and returns how many. It
// fails with ErrNoCache. A match without a server looks at all credentials, and lets
// other goroutines run meanwhile: the backend is not in use, so that other owners
// wait for nothing.
func (tx *Tx) Remove(name string, m *ccache.Match) (int, error) {
	old, err := tx.Cache(name)
	if err != nil {
		return 0, err
	}
	var gone []*Credential
	looked := 0
	for cred := range old.candidates(m) {
		if looked++; looked%findStep == 0 {
			runtime.Gosched()
		}
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
	seen := make(map[uuid.UUID]bool)
	for _, id := range ids {
		cred, err := old.Credential(id)
		if err == nil && !seen[id] {
			gone = append(gone, cred)
		}
		seen[id] = true
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
		tx.drop(cache, cred, Removed)
	}
}

// drop removes a credential of a cache of ours.
func (tx *Tx) drop(cache *Cache, cred *Credential, reason Reason) {
	tx.dropCredential(cache, cred, reason)
	tx.ops = append(tx.ops, DeleteCredential{cache.id, cred.seq, reason})
	tx.putCache(cache)
}

// emptyCache returns the cache of that name for writing, without credentials:
// a new one if there was none.
func (tx *Tx) emptyCache(name string) *Cache {
	old, err := tx.Cache(name)
	if err != nil {
		cache := newCache(tx.nextID, uuid.New(), name)
		cache.Label = tx.label
		tx.addNewCache(cache)
		return cache
	}
	cache := tx.writeCache(old)
	tx.clearCache(cache)
	cache.renewal = Renewal{Off: cache.renewal.Off}
	tx.changed(cache)
	tx.ops = append(tx.ops, ClearCache{cache.id})
	return cache
}

// storeCredential puts a copy of c into cache, a copy of ours.
func (tx *Tx) storeCredential(cache *Cache, c *ccache.Credential) {
	cred := tx.newCopy(c, cache.nextSeq)
	if old := cache.replacedBy(cred); old != nil {
		cred.seq = old.seq
	}
	tx.put(cache, cred)
}

// newCopy returns a copy of c that is not yet in a cache.
func (tx *Tx) newCopy(c *ccache.Credential, seq uint64) *Credential {
	clone, err := c.Clone()
	if err != nil {
		panic("credential does not survive marshalling: " + err.Error())
	}
	return newCredential(clone, uuid.Nil, seq)
}

// put puts a new credential into a cache of ours, in the place of its sequence number.
func (tx *Tx) put(cache *Cache, cred *Credential) {
	cred.UUID = newCredentialUUID(cred.seq)
	cred.draft = tx.id
	tx.putCredential(cache, cred)
	tx.ops = append(tx.ops, PutCredential{CredentialRecord{
		Cache: cache.id, Seq: cred.seq, UUID: cred.UUID, Data: cred.Bytes(),
	}})
}

// A pendingPut takes the place of the PutCache of a cache in the ops of a
// transaction. The PutCache is made at the end, when all about the cache is known.
// There is one for each cache that was written.
type pendingPut struct {
	cache *Cache
	name  string // of the cache at this place
}

func (pendingPut) isOp() {}

// putCache notes that cache, a copy of ours, changed.
func (tx *Tx) putCache(cache *Cache) {
	cache.Changed = tx.now.Truncate(time.Second)
	if !cache.isPut {
		cache.isPut = true
		tx.ops = append(tx.ops, pendingPut{cache, cache.Name})
	}
}
