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
	keys, err := members(ring)
	if err != nil {
		return nil, err
	}
	contents := new(ccache.Contents)
	found, size := false, 0
	for _, k := range keys {
		d, err := describe(k)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		b, err := read(k, MaxPayload)
		if isGone(err) {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
		if size += len(b); size > maxCache {
			return nil, fmt.Errorf("it has more than %d bytes", maxCache)
		}
		if d.typ == typeUser && d.name == principalKey {
			found = true
		}
		if err := decode(contents, d, b); err != nil {
			return nil, fmt.Errorf("%s: %w", d.name, err)
		}
	}
	if !found {
		return nil, fmt.Errorf("%w: it has no principal", ccache.ErrFormat)
	}
	return contents, nil
}

// decode adds the payload of a key to the contents of its cache.
func decode(c *ccache.Contents, d description, b []byte) error {
	switch {
	case d.typ == typeUser && d.name == principalKey:
		p, err := ccache.ParsePrincipal(b)
		c.Principal = p
		return err
	case d.typ == typeUser && d.name == offsetsKey:
		r := ccache.NewDecoder(b)
		c.KDCOffset, c.Microseconds = int32(r.Uint32("offset")), int32(r.Uint32("offset"))
		return r.Err()
	case d.typ == typeUser || d.typ == typeBig:
		cred, err := ccache.ParseCredential(b)
		if err != nil {
			return err
		}
		c.Credentials = append(c.Credentials, cred)
	}
	return nil
}
