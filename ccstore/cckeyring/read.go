package cckeyring

import (
	"fmt"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Descriptions of keys in the keyring of a cache that are no credentials.
const (
	principalKey = "__krb5_princ__"
	offsetsKey   = "__krb5_time_offsets__"
)

// maxCache bounds the bytes of the credentials of a cache.
const maxCache = 64 << 20

// Read reads a cache. The error wraps fs.ErrNotExist if there is none, and
// ccache.ErrFormat if a key cannot be decoded. Keys that have expired are not there.
func (c *Collection) Read(name string) (*ccache.Contents, error) {
	ring, err := c.find(name)
	if err != nil {
		return nil, err
	}
	contents := new(ccache.Contents)
	found := false
	err = eachKey(ring, func(_ key, d description, b []byte) error {
		if d.typ == typeUser && d.name == principalKey {
			found = true
		}
		if err := decode(contents, d, b); err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("%w: it has no principal", ccache.ErrFormat)
	}
	return contents, nil
}

// eachKey calls f with each key in the keyring of a cache. Like libkrb5 it skips keys
// that have gone.
func eachKey(ring key, f func(k key, d description, payload []byte) error) error {
	keys, err := members(ring)
	if err != nil {
		return err
	}
	size := 0
	for _, k := range keys {
		d, err := describe(k)
		if isGone(err) {
			continue
		}
		if err != nil {
			return err
		}
		b, err := read(k, MaxPayload)
		if isGone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("%s: %w", d.name, err)
		}
		if size += len(b); size > maxCache {
			return fmt.Errorf("it has more than %d bytes", maxCache)
		}
		if err := f(k, d, b); err != nil {
			return err
		}
	}
	return nil
}

// decode adds the payload of a key to the contents of its cache.
func decode(c *ccache.Contents, d description, b []byte) (err error) {
	switch {
	case d.typ == typeUser && d.name == principalKey:
		c.Principal, err = ccache.ParsePrincipal(b)
		return err
	case d.typ == typeUser && d.name == offsetsKey:
		c.KDCOffset, c.Microseconds, err = parseOffsets(b)
		return err
	case d.isCredential():
		cred, err := ccache.ParseCredential(b)
		if err != nil {
			return err
		}
		c.Credentials = append(c.Credentials, cred)
	}
	return nil
}

// parseOffsets decodes the payload of the key of the offsets.
func parseOffsets(b []byte) (seconds, microseconds int32, err error) {
	r := ccache.NewDecoder(b)
	seconds, microseconds = int32(r.Uint32("offset")), int32(r.Uint32("offset"))
	return seconds, microseconds, r.Err()
}

// isCredential reports whether a key in the keyring of a cache is a credential.
func (d description) isCredential() bool {
	return d.typ == typeBig || d.typ == typeUser && d.name != principalKey && d.name != offsetsKey
}

// A Cache is a cache as the kernel keeps it, not decoded.
type Cache struct {
	ID           int // serial number of its keyring
	Name         string
	Principal    []byte // marshalled
	KDCOffset    int32  // seconds
	Microseconds int32
	Ends         int64 // to write: when its keyring expires, by the local clock in seconds since 1970; 0: never
	Keys         []Key // its credentials, in the order of the kernel
}

// A Key is a credential as the kernel keeps it.
type Key struct {
	ID   int    // its serial number; to write: 0 for a new one
	Name string // its description: the name of the server, where libkrb5 has written it
	Data []byte
	Ends int64 // to write: as that of the cache
}

// Caches returns all caches, in the order of the kernel. A keyring without a principal is
// no cache.
func (c *Collection) Caches() ([]Cache, error) {
	if c.ring == 0 {
		return nil, nil
	}
	rings, err := members(c.ring)
	if err != nil {
		return nil, failed("list the caches", err)
	}
	var list []Cache
	for _, ring := range rings {
		d, err := describe(ring)
		if isGone(err) || err == nil && d.typ != typeKeyring {
			continue
		}
		if err != nil {
			return nil, failed("list the caches", err)
		}
		cache, err := readCache(ring, d.name)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, failed("read cache "+d.name, err)
		}
		if cache.Principal != nil {
			list = append(list, cache)
		}
	}
	return list, nil
}

func readCache(ring key, name string) (Cache, error) {
	cache := Cache{ID: int(ring), Name: name}
	err := eachKey(ring, func(k key, d description, b []byte) (err error) {
		switch {
		case d.typ == typeUser && d.name == principalKey:
			cache.Principal = b
		case d.typ == typeUser && d.name == offsetsKey:
			cache.KDCOffset, cache.Microseconds, err = parseOffsets(b)
		case d.isCredential():
			cache.Keys = append(cache.Keys, Key{ID: int(k), Name: d.name, Data: b})
		}
		return err
	})
	return cache, err
}
