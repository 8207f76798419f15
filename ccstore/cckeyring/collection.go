package cckeyring

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// primaryKey is the description of the key with the name of the primary cache.
const primaryKey = "krb_ccache:primary"

const primaryVersion = 1

// A Collection is a collection of caches. It has the keys open until the thread ends.
type Collection struct {
	Name
	ring   key // 0: it does not exist
	anchor key
}

// Open finds the collection of that name. It need not exist. A persistent collection is
// that of the effective user only.
func Open(n Name) (*Collection, error) {
	c := &Collection{Name: n}
	var err error
	if c.anchor, err = c.findAnchor(); err != nil {
		return nil, fmt.Errorf("%v: %w", n, err)
	}
	c.ring, err = search(c.anchor, typeKeyring, n.keyring(), c.possess())
	if isGone(err) {
		c.ring = 0
		return c, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%v: %w", n, err)
	}
	return c, nil
}

// findAnchor returns the keyring of the anchor.
func (c *Collection) findAnchor() (key, error) {
	switch c.Anchor {
	case Persistent:
		return c.persistent()
	case User:
		return userKeyring, nil
	case Process:
		return processKeyring, nil
	case Thread:
		return threadKeyring, nil
	}
	return sessionAnchor(), nil
}

func (c *Collection) persistent() (key, error) {
	uid, err := strconv.Atoi(c.Collection)
	if err != nil || uid != os.Geteuid() {
		return 0, fmt.Errorf("it belongs to uid %s, not to uid %d", c.Collection, os.Geteuid())
	}
	k, err := getPersistent(uid, processKeyring)
	if errors.Is(err, unix.EOPNOTSUPP) {
		return userKeyring, nil // as libkrb5 does where the kernel has none
	}
	if err != nil {
		return 0, err
	}
	// The kernel finds it by the uid, whatever anyone calls a keyring.
	if d, err := describe(k); err != nil || d.uid != uint32(uid) {
		return 0, fmt.Errorf("the keyring belongs to uid %d: %w", d.uid, err)
	}
	return k, nil
}

// possess returns the keyring that keeps the collection possessed, which the anchor may
// not do: then its keys could not be read.
func (c *Collection) possess() key {
	if c.Anchor == User || c.Anchor == Persistent {
		return processKeyring
	}
	return 0
}

// create makes the keyring of the collection if there is none, and gives it a primary
// cache.
func (c *Collection) create() error {
	if c.ring != 0 {
		return nil
	}
	dest := c.possess()
	if dest == 0 {
		dest = c.anchor
	}
	ring, err := add(typeKeyring, c.keyring(), nil, dest)
	if err != nil {
		return failed("make the collection", err)
	}
	if dest != c.anchor {
		if err := link(ring, c.anchor); err != nil {
			return failed("link the collection", err)
		}
	}
	c.ring = ring
	return c.SetPrimary(c.Initial())
}

// Primary returns the name of the primary cache, which may not exist.
func (c *Collection) Primary() (string, error) {
	name, err := c.StoredPrimary()
	if name == "" && err == nil {
		name = c.Initial()
	}
	return name, err
}

// StoredPrimary returns the name of the primary cache, "" if it was never set.
func (c *Collection) StoredPrimary() (string, error) {
	if c.ring == 0 {
		return "", nil
	}
	k, err := search(c.ring, typeUser, primaryKey, 0)
	if errors.Is(err, unix.ENOKEY) {
		return "", nil
	}
	if err != nil {
		return "", failed("find the primary cache", err)
	}
	b, err := read(k, maxName)
	if err != nil {
		return "", failed("read the primary cache", err)
	}
	return parsePrimary(b)
}

// maxName is the longest description of a key (add_key(2)).
const maxName = 4095

// parsePrimary decodes the payload of the key of the primary cache.
func parsePrimary(b []byte) (string, error) {
	if len(b) < 8 || binary.BigEndian.Uint32(b) != primaryVersion {
		return "", errors.New("the key of the primary cache has an unknown version")
	}
	n := binary.BigEndian.Uint32(b[4:])
	if b = b[8:]; uint64(n) != uint64(len(b)) {
		return "", fmt.Errorf("the key of the primary cache claims %d bytes and has %d", n, len(b))
	}
	return string(b), nil
}

// SetPrimary makes a cache the primary one.
func (c *Collection) SetPrimary(name string) error {
	if err := c.create(); err != nil {
		return err
	}
	_, err := add(typeUser, primaryKey, primaryPayload(name), c.ring)
	return failed("set the primary cache", err)
}

// primaryPayload returns the payload of the key of the primary cache.
func primaryPayload(name string) []byte {
	b := binary.BigEndian.AppendUint32(nil, primaryVersion)
	b = binary.BigEndian.AppendUint32(b, uint32(len(name)))
	return append(b, name...)
}

// Names returns the names of the caches, the primary one first, the others in the order
// of the kernel. It has no cache twice.
func (c *Collection) Names() ([]string, error) {
	if c.ring == 0 {
		return nil, nil
	}
	primary, err := c.Primary()
	if err != nil {
		return nil, err
	}
	keys, err := members(c.ring)
	if err != nil {
		return nil, failed("list the caches", err)
	}
	var names []string
	for _, k := range keys {
		d, err := describe(k)
		switch {
		case err != nil || d.typ != typeKeyring:
		case d.name == primary:
			names = append([]string{d.name}, names...)
		default:
			names = append(names, d.name)
		}
	}
	return names, nil
}

// find returns the keyring of a cache. The error wraps fs.ErrNotExist if there is none.
func (c *Collection) find(name string) (key, error) {
	if c.ring == 0 {
		return 0, fs.ErrNotExist
	}
	k, err := search(c.ring, typeKeyring, name, 0)
	if isGone(err) {
		return 0, fs.ErrNotExist
	}
	return k, err
}

// failed returns an error of the kernel with what to do about it, nil for nil.
func failed(what string, err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EDQUOT):
		return fmt.Errorf("cannot %s: %w of the keyrings of uid %d; raise kernel.keys.maxkeys and kernel.keys.maxbytes with sysctl", what, err, os.Geteuid())
	}
	return fmt.Errorf("cannot %s: %w", what, err)
}
