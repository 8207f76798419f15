package keyring

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/cckeyring"
)

// scan looks at the kernel. If another program has changed the collection, it is at
// another revision afterwards.
func (c *collection) scan(now time.Time) error {
	kernel, err := cckeyring.Open(c.name)
	if err != nil {
		return err
	}
	c.kernel = kernel
	primary, err := kernel.StoredPrimary()
	if err != nil {
		return err
	}
	stored, err := kernel.Caches()
	if err != nil {
		return err
	}
	c.primary = primary
	if name, ok := c.storeName(primary); ok && primary != "" && name != c.effectiveDefault() {
		c.defaultName = name
	}
	c.take(stored, now)
	if sum := c.total(); sum != c.sum {
		if c.sum != 0 || len(stored) > 0 {
			c.revision++
			c.foreign++
		}
		c.sum = sum
	}
	return nil
}

// take has the collection know the caches of the kernel, and those only.
func (c *collection) take(stored []cckeyring.Cache, now time.Time) {
	byName := make(map[string]*cache)
	for _, known := range c.caches {
		byName[known.record.Name] = known
	}
	stored = slices.DeleteFunc(stored, func(s cckeyring.Cache) bool { _, ok := c.storeName(s.Name); return !ok })
	slices.SortFunc(stored, func(a, b cckeyring.Cache) int { return strings.Compare(a.Name, b.Name) })
	there := make(map[uint64]bool)
	for i := range stored {
		name, _ := c.storeName(stored[i].Name)
		known := byName[name]
		if known == nil {
			known = c.newCache(name)
		}
		there[known.record.ID] = true
		if known.take(&stored[i], c.uuidOf) {
			known.record.Changed = now.Unix()
		}
	}
	maps.DeleteFunc(c.caches, func(id uint64, _ *cache) bool { return !there[id] })
}

// newCache adds a cache that another program has made, or that is older than the backend.
func (c *collection) newCache(name string) *cache {
	known := &cache{credentials: make(map[uint64]*credential), nextSeq: 1}
	known.record.ID, known.record.Name = c.nextID, name
	c.nextID++
	full := c.name
	full.Subsidiary = c.kernelName(name)
	known.record.UUID = c.uuidOf(uuid.NameSpaceURL, full.String())
	c.caches[known.record.ID] = known
	return known
}

// uuidOf returns the UUID for a name, or a random one if that is in use: a cache that was
// renamed keeps its UUID.
func (c *collection) uuidOf(space uuid.UUID, name string) uuid.UUID {
	id := uuid.NewSHA1(space, []byte(name))
	for _, cache := range c.caches {
		if cache.record.UUID == id {
			return uuid.New()
		}
		for _, cred := range cache.credentials {
			if cred.record.UUID == id {
				return uuid.New()
			}
		}
	}
	return id
}

// take has the cache know what the kernel keeps of it, and reports whether it knew
// something else.
func (c *cache) take(stored *cckeyring.Cache, uuidOf func(uuid.UUID, string) uuid.UUID) (changed bool) {
	changed = c.ring != stored.ID || c.record.KDCOffset != stored.KDCOffset || !bytes.Equal(c.record.Principal, stored.Principal)
	c.ring, c.record.KDCOffset, c.microseconds = stored.ID, stored.KDCOffset, stored.Microseconds
	c.record.Principal = stored.Principal
	byKey := make(map[int]*credential)
	for _, cred := range c.credentials {
		byKey[cred.key] = cred
	}
	there := make(map[uint64]bool)
	var unknown []*credential
	for _, k := range stored.Keys {
		cred := newCredential(k.Data)
		cred.key, cred.name = k.ID, k.Name
		if known := byKey[k.ID]; known != nil && known.sum == cred.sum {
			known.record.Data = k.Data
			there[known.record.Seq] = true
			continue
		}
		unknown = append(unknown, cred)
	}
	known := len(c.credentials)
	maps.DeleteFunc(c.credentials, func(seq uint64, _ *credential) bool { return !there[seq] })
	changed = changed || len(unknown) > 0 || len(c.credentials) < known
	slices.SortFunc(unknown, (*credential).compare)
	for _, cred := range unknown {
		c.add(cred, uuidOf)
	}
	return changed
}

// add adds a credential that another program has stored.
func (c *cache) add(cred *credential, uuidOf func(uuid.UUID, string) uuid.UUID) {
	cred.record.Cache, cred.record.Seq = c.record.ID, c.nextSeq
	c.nextSeq++
	// Nothing of the key goes in but what anyone may know.
	cred.record.UUID = uuidOf(c.record.UUID, fmt.Sprintf("%d %d %d %s", cred.key, cred.start, cred.ends, cred.name))
	c.credentials[cred.record.Seq] = cred
}
