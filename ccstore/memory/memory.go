// Package memory is a ccstore backend that keeps everything in memory, until the
// process ends.
//
// It imports ccstore. Files, in the order in which to read them: memory.go, shared.go
// (a backend for several stores at once).
package memory

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A Backend keeps collections in maps.
type Backend struct {
	mu          sync.Mutex
	collections map[ccstore.Owner]*collection
	stored      atomic.Int64
}

var _ ccstore.Backend = (*Backend)(nil)

type collection struct {
	revision    uint64
	commits     []uuid.UUID // as in ccstore.Record
	defaultName string
	caches      map[uint64]ccstore.CacheRecord
	credentials map[uint64]map[uint64]ccstore.CredentialRecord // by cache, then seq
	stored      int64                                          // bytes
}

// recordBytes is the size of a record besides its data.
const recordBytes = 512

// New returns an empty backend.
func New() *Backend { return &Backend{collections: make(map[ccstore.Owner]*collection)} }

// Load implements ccstore.Backend.
func (b *Backend) Load(_ context.Context, owner ccstore.Owner) (*ccstore.Record, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.collections[owner]
	if c == nil {
		return &ccstore.Record{}, nil
	}
	r := &ccstore.Record{
		Revision: c.revision,
		Commits:  slices.Clone(c.commits),
		Default:  c.defaultName,
		Caches:   slices.Collect(maps.Values(c.caches)),
	}
	for id, creds := range c.credentials {
		for _, cred := range creds {
			cred.Cache = id // it may have been moved
			r.Credentials = append(r.Credentials, cred)
		}
	}
	return r, nil
}

// Commit implements ccstore.Backend.
func (b *Backend) Commit(_ context.Context, commit *ccstore.Commit) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	c := b.collections[commit.Owner]
	if c == nil {
		c = &collection{
			caches:      make(map[uint64]ccstore.CacheRecord),
			credentials: make(map[uint64]map[uint64]ccstore.CredentialRecord),
		}
	}
	if c.revision != commit.Revision {
		return ccstore.ErrConflict
	}
	before := c.stored
	for _, op := range commit.Ops {
		c.apply(op)
	}
	b.stored.Add(c.stored - before)
	c.revision++
	c.commits = slices.Insert(c.commits[:min(len(c.commits), ccstore.KeptCommits-1)], 0, commit.ID)
	b.collections[commit.Owner] = c
	return nil
}

func (c *collection) apply(op ccstore.Op) {
	switch op := op.(type) {
	case ccstore.SetDefault:
		c.defaultName = op.Name
	case ccstore.PutCache:
		c.removeCache(op.ID)
		c.caches[op.ID] = op.CacheRecord
		c.stored += cacheBytes(op.CacheRecord)
	case ccstore.DeleteCache:
		c.removeCache(op.ID)
		c.clear(op.ID)
	case ccstore.RenameCache:
		cache := c.caches[op.ID]
		cache.Name = op.Name
		c.caches[op.ID] = cache
	case ccstore.ClearCache:
		c.clear(op.ID)
	case ccstore.PutCredential:
		if c.credentials[op.Cache] == nil {
			c.credentials[op.Cache] = make(map[uint64]ccstore.CredentialRecord)
		}
		c.remove(op.Cache, op.Seq)
		c.credentials[op.Cache][op.Seq] = op.CredentialRecord
		c.stored += credentialBytes(op.CredentialRecord)
	case ccstore.DeleteCredential:
		c.remove(op.Cache, op.Seq)
	case ccstore.MoveCredentials:
		c.clear(op.To)
		c.credentials[op.To] = c.credentials[op.From]
		delete(c.credentials, op.From)
	case ccstore.QuarantineCache:
		cache := c.caches[op.ID]
		cache.Quarantined = op.Why
		c.caches[op.ID] = cache
	case ccstore.QuarantineCredential:
		cred := c.credentials[op.Cache][op.Seq]
		cred.Quarantined = op.Why
		c.credentials[op.Cache][op.Seq] = cred
	}
}

func (c *collection) removeCache(id uint64) {
	if cache, ok := c.caches[id]; ok {
		c.stored -= cacheBytes(cache)
		delete(c.caches, id)
	}
}

// clear removes the credentials of a cache.
func (c *collection) clear(cache uint64) {
	for seq := range c.credentials[cache] {
		c.remove(cache, seq)
	}
	delete(c.credentials, cache)
}

func (c *collection) remove(cache, seq uint64) {
	if cred, ok := c.credentials[cache][seq]; ok {
		c.stored -= credentialBytes(cred)
		delete(c.credentials[cache], seq)
	}
}

func cacheBytes(r ccstore.CacheRecord) int64 {
	return int64(recordBytes + len(r.Principal) + len(r.Label) + len(r.Renewal))
}

func credentialBytes(r ccstore.CredentialRecord) int64 { return int64(recordBytes + len(r.Data)) }

// Owners implements ccstore.Backend.
func (b *Backend) Owners(context.Context) ([]ccstore.Owner, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []ccstore.Owner
	for owner, c := range b.collections {
		if len(c.caches) > 0 {
			list = append(list, owner)
		}
	}
	slices.SortFunc(list, ccstore.Owner.Compare)
	return list, nil
}

// Due implements ccstore.Backend. It looks at every cache: there are few in
// memory.
func (b *Backend) Due(_ context.Context, kind ccstore.DeadlineKind, after, until int64, limit int) ([]ccstore.Deadline, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var list []ccstore.Deadline
	for owner, c := range b.collections {
		for _, cache := range c.caches {
			if at := cache.Deadlines[kind]; cache.Quarantined == "" && at > after && at <= min(until, ccstore.Never-1) {
				list = append(list, ccstore.Deadline{Owner: owner, Cache: cache.UUID, Kind: kind, At: at})
			}
		}
	}
	slices.SortFunc(list, func(a, b ccstore.Deadline) int { return cmp.Compare(a.At, b.At) })
	return list[:min(len(list), limit)], nil
}

// Stored implements ccstore.Backend.
func (b *Backend) Stored() int64 { return b.stored.Load() }

// Quarantined implements ccstore.Backend. It looks at everything.
func (b *Backend) Quarantined(context.Context) (n int, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, c := range b.collections {
		for id, cache := range c.caches {
			if cache.Quarantined != "" {
				n++
			}
			for _, cred := range c.credentials[id] {
				if cred.Quarantined != "" {
					n++
				}
			}
		}
	}
	return n, nil
}

// Close implements ccstore.Backend.
func (b *Backend) Close() error { return nil }
