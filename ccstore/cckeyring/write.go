package cckeyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Write creates a cache, or replaces it in one step: programs see the old keyring or the
// whole new one. Of several credentials for one server the last remains, and the order is
// that of the kernel. Keys expire with their tickets.
func (c *Collection) Write(name string, contents *ccache.Contents, now time.Time) error {
	cache := encode(name, contents, now)
	if err := c.Apply(&Batch{Put: []*Cache{cache}}, now); err != nil {
		return err
	}
	if c.Anchor == Legacy && name == c.Collection {
		return failed("link the cache", link(key(cache.ID), sessionAnchor())) // where old programs look
	}
	return nil
}

// encode returns a cache as the kernel keeps it.
func encode(name string, contents *ccache.Contents, now time.Time) *Cache {
	cache := &Cache{
		Name: name, Principal: contents.Principal.Append(nil),
		KDCOffset: contents.KDCOffset, Microseconds: contents.Microseconds,
	}
	for _, cred := range contents.Credentials {
		k := Key{Name: cred.Server.String(), Data: cred.Bytes()}
		if cred.EndTime != 0 && !cred.IsConfig() {
			k.Ends = int64(cred.EndTime) - int64(contents.KDCOffset)
			cache.Ends = max(cache.Ends, k.Ends, now.Unix())
		}
		cache.Keys = append(cache.Keys, k)
	}
	return cache
}

// fill adds the keys of a cache to its keyring, and says what their numbers are.
func (c *Collection) fill(ring key, cache *Cache, now time.Time) error {
	if _, err := add(typeUser, principalKey, cache.Principal, ring); err != nil {
		return failed("store the principal", err)
	}
	offsets := binary.BigEndian.AppendUint32(nil, uint32(cache.KDCOffset))
	offsets = binary.BigEndian.AppendUint32(offsets, uint32(cache.Microseconds))
	if _, err := add(typeUser, offsetsKey, offsets, ring); err != nil {
		return failed("store the offset of the clock", err)
	}
	for i := range cache.Keys {
		if err := c.put(ring, &cache.Keys[i], now); err != nil {
			return err
		}
	}
	return failed("set the end of the cache", expire(ring, cache.Ends, now))
}

// put links a credential to the keyring of a cache, or makes a new one there. It replaces
// that of the same name.
func (c *Collection) put(ring key, k *Key, now time.Time) error {
	if k.ID != 0 {
		return failed("link "+k.Name, link(key(k.ID), ring))
	}
	id, err := c.addCredential(ring, k.Name, k.Data)
	if err != nil {
		return err
	}
	k.ID = int(id)
	if k.Ends <= now.Unix() { // in the past, the kernel would take it away at once
		return nil
	}
	return failed("set the end of a ticket", expire(id, k.Ends, now))
}

// expire has a key expire at a time by the local clock, in seconds since 1970; 0 is never.
func expire(k key, at int64, now time.Time) error {
	if at == 0 {
		return setTimeout(k, 0)
	}
	return setTimeout(k, min(max(at-now.Unix(), 1), maxTimeout))
}

// maxTimeout is the longest that a key can last, besides those that never expire.
const maxTimeout = 1<<32 - 1

// addCredential stores a credential as a big_key, or where the kernel has none, as a key
// of the user.
func (c *Collection) addCredential(ring key, name string, payload []byte) (key, error) {
	if c.Anchor != Legacy {
		k, err := add(typeBig, name, payload, ring)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
			return k, failed("store "+name, err)
		}
	}
	k, err := add(typeUser, name, payload, ring)
	if errors.Is(err, unix.EINVAL) && len(payload) > MaxUser {
		return 0, fmt.Errorf("cannot store %s: it has %d bytes, and the kernel allows %d in a key here: %w", name, len(payload), MaxUser, unix.EFBIG)
	}
	return k, failed("store "+name, err)
}

// MaxUser is the largest payload of a key of type "user" (keyrings(7)), the only one of a
// kernel without big_key.
const MaxUser = 32767

// HasBig reports whether the kernel has keys of type "big_key". It tries one.
func HasBig() bool {
	k, err := add(typeBig, "kcmd", []byte("kcmd"), threadKeyring)
	if err != nil {
		return false
	}
	_ = unlink(k, threadKeyring)
	return true
}

// Remove removes a cache. The primary cache keeps its name.
func (c *Collection) Remove(name string) error {
	ring, err := c.find(name)
	if err != nil {
		return err
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_CLEAR, int(ring), 0, 0, 0); err != nil {
		return failed("clear the cache", err)
	}
	if c.Anchor == Legacy && name == c.Collection {
		_ = unlink(ring, sessionAnchor())
	}
	return failed("remove the cache", unlink(ring, c.ring))
}
