package ccstore

import (
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/google/uuid"
	"github.com/tidwall/btree"
)

// A Collection is a snapshot of the caches of one owner and of the default. It never
// changes; any number of goroutines may read it.
type Collection struct {
	owner       Owner
	revision    uint64 // counts the commits
	defaultName string // "" if it was never set
	nextID      uint64 // of the next cache
	quarantined int    // caches that are kept but not in use
	bytes       int64  // sum of Cache.Size

	// Copies of a tree share their unchanged nodes, so that a snapshot of a large
	// collection costs no more than one of a small one.
	caches *btree.Map[uint64, *Cache] // by id, which is the order of creation
	byName *btree.Map[string, uint64]
	byUUID *btree.Map[string, uint64]
}

func newCollection(owner Owner) *Collection {
	return &Collection{
		owner:  owner,
		nextID: 1,
		caches: new(btree.Map[uint64, *Cache]),
		byName: new(btree.Map[string, uint64]),
		byUUID: new(btree.Map[string, uint64]),
	}
}

// clone returns a copy whose indexes by name and UUID are still those of c.
func (c *Collection) clone() *Collection {
	d := *c
	d.caches = c.caches.Copy()
	return &d
}

// Owner returns whom the collection belongs to.
func (c *Collection) Owner() Owner { return c.owner }

// Revision counts the commits that the collection has seen. 0 is a collection
// that was never changed.
func (c *Collection) Revision() uint64 { return c.revision }

// Len returns the number of caches.
func (c *Collection) Len() int { return c.caches.Len() }

// Quarantined returns the number of stored entries that could not be read and were set
// quarantined: caches, and credentials of caches in use.
func (c *Collection) Quarantined() int {
	n := c.quarantined
	for _, cache := range c.Caches() {
		n += cache.quarantined
	}
	return n
}

// Cache returns the cache of that name, or ErrNoCache.
func (c *Collection) Cache(name string) (*Cache, error) {
	id, ok := c.byName.Get(name)
	if !ok {
		return nil, ErrNoCache
	}
	return c.cacheByID(id), nil
}

// CacheByUUID returns the cache with that UUID, or ErrNoCache.
func (c *Collection) CacheByUUID(id uuid.UUID) (*Cache, error) {
	n, ok := c.byUUID.Get(string(id[:]))
	if !ok {
		return nil, ErrNoCache
	}
	return c.cacheByID(n), nil
}

func (c *Collection) cacheByID(id uint64) *Cache {
	cache, _ := c.caches.Get(id)
	return cache
}

// Caches returns all caches, the default one first, the others in the order in
// which they were created.
func (c *Collection) Caches() []*Cache {
	list := make([]*Cache, 0, c.caches.Len())
	first := c.Default()
	if first != nil {
		list = append(list, first)
	}
	c.caches.Scan(func(_ uint64, cache *Cache) bool {
		if cache != first {
			list = append(list, cache)
		}
		return true
	})
	return list
}

// DefaultName returns the name of the default cache: the one last set, or the
// owner's uid in decimal if none ever was. There need not be a cache of that name.
func (c *Collection) DefaultName() string {
	if c.defaultName == "" {
		return strconv.FormatUint(uint64(c.owner.UID), 10)
	}
	return c.defaultName
}

// Default returns the default cache, or nil if there is no cache of that name.
func (c *Collection) Default() *Cache {
	cache, err := c.Cache(c.DefaultName())
	if err != nil {
		return nil
	}
	return cache
}

// uniqueLen letters and digits are about 51 bits: enough that a name is not
// met again, short enough to be read aloud.
const (
	uniqueLen     = 10
	uniqueLetters = "abcdefghijklmnopqrstuvwxyz0123456789"
)

// UniqueName returns a name for a new cache, "UID:" and random letters and
// digits. It creates nothing: two calls give two names though neither is used.
func (c *Collection) UniqueName() string {
	for {
		b := make([]byte, uniqueLen)
		for i := range b {
			b[i] = uniqueLetters[rand.IntN(len(uniqueLetters))]
		}
		name := fmt.Sprintf("%d:%s", c.owner.UID, b)
		if _, taken := c.byName.Get(name); !taken && name != c.defaultName {
			return name
		}
	}
}
