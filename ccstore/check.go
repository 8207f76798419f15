package ccstore

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// Check verifies the store: that each collection in memory holds together, and
// that it says what the backend says. It returns everything that is wrong. No
// update may be under way.
func (s *Store) Check(ctx context.Context) error {
	stored, err := s.Owners(ctx)
	if err != nil {
		return err
	}
	owners := make(map[Owner]bool)
	for _, o := range stored {
		owners[o] = true
	}
	s.mu.RLock()
	for o := range s.states {
		owners[o] = true
	}
	s.mu.RUnlock()
	var errs []error
	for _, owner := range slices.SortedFunc(maps.Keys(owners), Owner.Compare) {
		if err := s.checkOwner(ctx, owner); err != nil {
			errs = append(errs, fmt.Errorf("collection of %s: %w", owner, err))
		}
	}
	return errors.Join(errs...)
}

func (s *Store) checkOwner(ctx context.Context, owner Owner) error {
	r, err := s.backend.Load(ctx, owner)
	if err != nil {
		return err
	}
	stored, repairs := fromRecord(owner, r)
	if s.watched == nil { // otherwise repairs are made in memory only
		var errs []error
		for _, r := range repairs {
			errs = append(errs, r.err)
		}
		if len(errs) > 0 {
			return errors.Join(errs...)
		}
	}
	if err := stored.check(); err != nil {
		return fmt.Errorf("as stored: %w", err)
	}
	return s.View(ctx, owner, func(c *Collection) error {
		if err := c.check(); err != nil {
			return fmt.Errorf("in memory: %w", err)
		}
		return c.same(stored)
	})
}

// CheckRecord verifies what a backend keeps of owner, and returns everything
// that is wrong with it, but for entries quarantined earlier.
func CheckRecord(owner Owner, record *Record) []error {
	c, repairs := fromRecord(owner, record)
	var errs []error
	for _, r := range repairs {
		errs = append(errs, r.err)
	}
	if err := c.check(); err != nil {
		errs = append(errs, err)
	}
	return errs
}

// check verifies that the indexes of the collection say the same as its caches.
func (c *Collection) check() error {
	if n, u := c.byName.Len(), c.byUUID.Len(); n != c.Len() || u != c.Len() {
		return fmt.Errorf("%d caches, %d names, %d UUIDs", c.Len(), n, u)
	}
	size := int64(0)
	for _, cache := range c.Caches() {
		size += cache.Size()
		if byName, err := c.Cache(cache.Name); err != nil || byName != cache {
			return fmt.Errorf("cache %s is not found by its name", cache.UUID)
		}
		if byUUID, err := c.CacheByUUID(cache.UUID); err != nil || byUUID != cache {
			return fmt.Errorf("cache %s is not found by its UUID", cache.UUID)
		}
		if cache.id >= c.nextID {
			return fmt.Errorf("cache %s has an id not yet given", cache.UUID)
		}
		if err := cache.check(); err != nil {
			return fmt.Errorf("cache %s: %w", cache.UUID, err)
		}
	}
	if size != c.bytes {
		return fmt.Errorf("holds caches of %d bytes, says %d", size, c.bytes)
	}
	return nil
}

func (c *Cache) check() error {
	tickets, size := 0, int64(0)
	for cred := range c.Credentials() {
		if cred.kind != noTicket {
			tickets++
			if byEnd, ok := c.byEnd.Get(cred); !ok || byEnd != cred {
				return fmt.Errorf("ticket %s is not found by its end", cred.UUID)
			}
		}
		size += cred.size()
		if byServer, ok := c.byServer.Get(cred.serverEntry()); !ok || byServer.cred != cred {
			return fmt.Errorf("credential %s is not found by its server", cred.UUID)
		}
		if byUUID, err := c.Credential(cred.UUID); err != nil || byUUID != cred {
			return fmt.Errorf("credential %s is not found by its UUID", cred.UUID)
		}
		if cred.seq >= c.nextSeq {
			return fmt.Errorf("credential %s has a place not yet given", cred.UUID)
		}
	}
	if n := c.byServer.Len(); n != c.Len() {
		return fmt.Errorf("%d credentials, %d by server", c.Len(), n)
	}
	if tickets != c.Tickets() || size != c.bytes {
		return fmt.Errorf("holds %d tickets of %d bytes, says %d of %d", tickets, size, c.Tickets(), c.bytes)
	}
	return nil
}

// same returns an error with the first difference of c and d.
func (c *Collection) same(d *Collection) error {
	if c.revision != d.revision || c.defaultName != d.defaultName || c.Len() != d.Len() {
		return fmt.Errorf("memory and backend differ: revision %d and %d, default %q and %q, %d and %d caches",
			c.revision, d.revision, c.defaultName, d.defaultName, c.Len(), d.Len())
	}
	for _, cache := range c.Caches() {
		other := d.cacheByID(cache.id)
		if other == nil {
			return fmt.Errorf("cache %s is not in the backend", cache.UUID)
		}
		if err := cache.same(other); err != nil {
			return fmt.Errorf("cache %s: %w", cache.UUID, err)
		}
	}
	return nil
}

func (c *Cache) same(d *Cache) error {
	if c.UUID != d.UUID || c.Name != d.Name || !c.Principal.Equal(d.Principal) ||
		c.KDCOffset != d.KDCOffset || c.renewal != d.renewal || c.Label != d.Label || !c.Changed.Equal(d.Changed) || c.Len() != d.Len() {
		return errors.New("memory and backend differ")
	}
	for cred := range c.Credentials() {
		other, ok := d.bySeq.Get(cred.seq)
		if !ok || other.UUID != cred.UUID || !bytes.Equal(other.Bytes(), cred.Bytes()) {
			return fmt.Errorf("credential %s differs from the backend's", cred.UUID)
		}
	}
	return nil
}
