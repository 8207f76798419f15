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
	if err := c.create(); err != nil {
		return err
	}
	// The kernel lets nobody rename a keyring. A link displaces that of the same name.
	ring, err := add(typeKeyring, name, nil, threadKeyring)
	if err != nil {
		return failed("make the cache", err)
	}
	defer func() { _ = unlink(ring, threadKeyring) }()
	if err := c.fill(ring, contents, now.Add(time.Duration(contents.KDCOffset)*time.Second)); err != nil {
		return err
	}
	if err := link(ring, c.ring); err != nil {
		return failed("link the cache", err)
	}
	if c.Anchor == Legacy && name == c.Collection {
		return failed("link the cache", link(ring, sessionAnchor())) // where old programs look
	}
	return nil
}

// fill adds the keys of a cache. now is the time of the KDC.
func (c *Collection) fill(ring key, contents *ccache.Contents, now time.Time) error {
	if _, err := add(typeUser, principalKey, contents.Principal.Append(nil), ring); err != nil {
		return failed("store the principal", err)
	}
	offsets := binary.BigEndian.AppendUint32(nil, uint32(contents.KDCOffset))
	offsets = binary.BigEndian.AppendUint32(offsets, uint32(contents.Microseconds))
	if _, err := add(typeUser, offsetsKey, offsets, ring); err != nil {
		return failed("store the offset of the clock", err)
	}
	last := int64(-1) // seconds until the last ticket ends, -1 if none has an end
	for _, cred := range contents.Credentials {
		k, err := c.addCredential(ring, cred)
		if err != nil {
			return err
		}
		if cred.EndTime == 0 || cred.IsConfig() {
			continue
		}
		left := int64(cred.EndTime) - now.Unix()
		last = max(last, left, 0)
		if left > 0 {
			if err := setTimeout(k, left); err != nil {
				return failed("set the end of a ticket", err)
			}
		}
	}
	if last >= 0 {
		return failed("set the end of the cache", setTimeout(ring, max(last, 1)))
	}
	return nil
}

// addCredential stores a credential as a big_key, or where the kernel has none, as a key
// of the user.
func (c *Collection) addCredential(ring key, cred *ccache.Credential) (key, error) {
	name, payload := cred.Server.String(), cred.Bytes()
	if c.Anchor != Legacy {
		k, err := add(typeBig, name, payload, ring)
		if !errors.Is(err, unix.EINVAL) && !errors.Is(err, unix.ENODEV) {
			return k, failed("store "+name, err)
		}
	}
	k, err := add(typeUser, name, payload, ring)
	if errors.Is(err, unix.EINVAL) && len(payload) > maxUser {
		return 0, fmt.Errorf("cannot store %s: it has %d bytes, and the kernel allows %d in a key here: %w", name, len(payload), maxUser, unix.EFBIG)
	}
	return k, failed("store "+name, err)
}

// maxUser is the largest payload of a key of type "user" (keyrings(7)).
const maxUser = 32767

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
