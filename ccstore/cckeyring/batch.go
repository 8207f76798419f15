package cckeyring

import (
	"errors"
	"time"
)

// A Batch is a set of changes to a collection.
type Batch struct {
	// Put has caches that get a new keyring, which takes the place of one of the same
	// name. Keys with an ID are those of other caches, or of an old keyring.
	Put []*Cache

	// Add stores one credential in the keyring of an existing cache.
	Add *Addition

	Drop    []Dropped // credentials to be removed
	Remove  []int     // IDs of caches to be removed
	Primary string    // name of the primary cache; "": as it is
}

// An Addition is a credential for a cache. It replaces that of the same name.
type Addition struct {
	Cache int   // ID
	Ends  int64 // of the cache, as Cache has it
	Key
}

// A Dropped is a credential that is to be removed from a cache, whose keyring remains.
type Dropped struct {
	Cache, Key int   // IDs
	Ends       int64 // of the cache, as Cache has it
}

// Apply makes all changes or, if it fails, none, as long as the kernel has memory. It sets
// the IDs of new caches and keys. Programs may see some of the changes before others.
//
// Whatever the quota may forbid comes first: it builds new keyrings aside, adds names to
// the collection, which it can take back, and then one key. What then takes the place of
// something needs no quota.
func (c *Collection) Apply(b *Batch, now time.Time) error {
	if err := c.create(); err != nil {
		return err
	}
	aside, err := add(typeKeyring, "kcmd", nil, threadKeyring)
	if err != nil {
		return failed("make a keyring", err)
	}
	defer func() { _ = unlink(aside, threadKeyring) }()
	place, err := c.build(b, aside, now)
	if err != nil {
		return err
	}
	if err := c.linkNew(b, now); err != nil {
		return err
	}
	for _, ring := range place {
		if err := link(ring, c.ring); err != nil {
			return failed("link a cache", err)
		}
	}
	return c.drop(b, now)
}

// build makes the new keyrings and the key of the primary cache aside. It returns those
// that take the place of others.
func (c *Collection) build(b *Batch, aside key, now time.Time) (place []key, err error) {
	for _, cache := range b.Put {
		// The kernel lets nobody rename a keyring. A link displaces that of the same name.
		ring, err := add(typeKeyring, cache.Name, nil, aside)
		if err != nil {
			return nil, failed("make the cache", err)
		}
		if err := c.fill(ring, cache, now); err != nil {
			return nil, err
		}
		cache.ID = int(ring)
		if _, err := c.find(cache.Name); err == nil {
			place = append(place, ring)
		}
	}
	if b.Primary != "" {
		k, err := add(typeUser, primaryKey, primaryPayload(b.Primary), aside)
		if err != nil {
			return nil, failed("set the primary cache", err)
		}
		place = append(place, k) // create has made one
	}
	return place, nil
}

// linkNew links the keyrings whose names are new, and adds a credential. If it fails, it
// takes all back.
func (c *Collection) linkNew(b *Batch, now time.Time) (err error) {
	var linked []key
	defer func() {
		for _, ring := range linked {
			if err != nil {
				err = errors.Join(err, unlink(ring, c.ring))
			}
		}
	}()
	for _, cache := range b.Put {
		if _, err := c.find(cache.Name); err == nil {
			continue
		}
		if err := link(key(cache.ID), c.ring); err != nil {
			return failed("link the cache", err)
		}
		linked = append(linked, key(cache.ID))
	}
	if b.Add == nil {
		return nil
	}
	if err := c.put(key(b.Add.Cache), &b.Add.Key, now); err != nil {
		return err
	}
	return failed("set the end of the cache", expire(key(b.Add.Cache), b.Add.Ends, now))
}

// drop removes credentials and caches. What has gone by itself is no error.
func (c *Collection) drop(b *Batch, now time.Time) error {
	for _, d := range b.Drop {
		if b.Add != nil && d.Key == b.Add.ID {
			continue // the kernel has changed it in place
		}
		if err := unlink(key(d.Key), key(d.Cache)); err != nil && !isAbsent(err) {
			return failed("remove a ticket", err)
		}
		if err := expire(key(d.Cache), d.Ends, now); err != nil && !isAbsent(err) {
			return failed("set the end of the cache", err)
		}
	}
	for _, id := range b.Remove {
		if err := unlink(key(id), c.ring); err != nil && !isAbsent(err) {
			return failed("remove the cache", err)
		}
	}
	return nil
}
