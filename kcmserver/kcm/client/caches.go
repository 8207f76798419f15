package client

import (
	"encoding/binary"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// Noop does nothing: it shows that the server answers.
func (c *Client) Noop() error { return c.do(kcm.OpNoop, nil) }

// GetName returns the name of a cache; "" is the default cache. It fails with
// kcm.FCCNoFile if there is no such cache, as do all methods below that need one.
func (c *Client) GetName(cache string) (string, error) {
	return c.getName(kcm.OpGetName, name(cache))
}

// Resolve succeeds for every name.
func (c *Client) Resolve(cache string) error { return c.do(kcm.OpResolve, name(cache)) }

// GenNew returns an unused cache name. It creates no cache.
func (c *Client) GenNew() (string, error) { return c.getName(kcm.OpGenNew, nil) }

// Initialize creates an empty cache for a principal, or empties the cache of
// that name. It fails with kcm.FCCPerm for the name of another user, and with
// kcm.CCBadName for a name that no cache may have.
func (c *Client) Initialize(cache string, principal ccache.Principal) error {
	return c.do(kcm.OpInitialize, principal.Append(name(cache)))
}

// Replace creates or empties a cache as Initialize does, sets its KDC offset in
// seconds, and stores the credentials, in one step.
func (c *Client) Replace(cache string, kdcOffset int32, principal ccache.Principal, creds []*ccache.Credential) error {
	args := principal.Append(binary.BigEndian.AppendUint32(name(cache), uint32(kdcOffset)))
	return c.do(kcm.OpReplace, kcm.AppendCredentialList(args, creds))
}

// Destroy removes a cache. The name of the default cache does not change.
func (c *Client) Destroy(cache string) error { return c.do(kcm.OpDestroy, name(cache)) }

// MoveCache moves the contents of a cache to another one, which it creates if
// necessary, and destroys the first.
func (c *Client) MoveCache(from, to string) error { return c.do(kcm.OpMoveCache, name(from, to)) }

// GetPrincipal returns the client principal of a cache.
func (c *Client) GetPrincipal(cache string) (ccache.Principal, error) {
	d, err := c.get(kcm.OpGetPrincipal, name(cache))
	if err != nil {
		return ccache.Principal{}, err
	}
	return d.Principal("principal"), checked(kcm.OpGetPrincipal, d)
}

// GetKDCOffset returns the seconds to add to the local clock to get the KDC's.
func (c *Client) GetKDCOffset(cache string) (int32, error) {
	d, err := c.get(kcm.OpGetKDCOffset, name(cache))
	if err != nil {
		return 0, err
	}
	return d.Int32("KDC offset"), checked(kcm.OpGetKDCOffset, d)
}

// SetKDCOffset sets the KDC offset of a cache, in seconds.
func (c *Client) SetKDCOffset(cache string, seconds int32) error {
	return c.do(kcm.OpSetKDCOffset, binary.BigEndian.AppendUint32(name(cache), uint32(seconds)))
}

// GetCacheUUIDList returns the UUIDs of the peer's caches, the default one first.
func (c *Client) GetCacheUUIDList() ([]uuid.UUID, error) {
	return c.getUUIDs(kcm.OpGetCacheUUIDList, nil)
}

// GetCacheByUUID returns the name of one of the peer's caches. It fails with
// kcm.CCEnd if there is no such cache.
func (c *Client) GetCacheByUUID(id uuid.UUID) (string, error) {
	return c.getName(kcm.OpGetCacheByUUID, id[:])
}

// GetDefaultCache returns the name of the default cache, even if no cache has that
// name.
func (c *Client) GetDefaultCache() (string, error) { return c.getName(kcm.OpGetDefaultCache, nil) }

// SetDefaultCache sets the name of the default cache. A cache of that name is not
// necessary.
func (c *Client) SetDefaultCache(cache string) error {
	return c.do(kcm.OpSetDefaultCache, name(cache))
}

// SetFlags does not change a cache: kcmd accepts all flags and stores none.
func (c *Client) SetFlags(cache string, flags uint32) error {
	return c.do(kcm.OpSetFlags, binary.BigEndian.AppendUint32(name(cache), flags))
}

// Chown succeeds if it would change nothing, and fails with kcm.FCCPerm otherwise:
// kcmd gives no cache to another user.
func (c *Client) Chown(cache string, uid, gid uint32) error {
	args := binary.BigEndian.AppendUint32(name(cache), uid)
	return c.do(kcm.OpChown, binary.BigEndian.AppendUint32(args, gid))
}

// Chmod succeeds for mode 0600, and fails with kcm.FCCPerm otherwise.
func (c *Client) Chmod(cache string, mode uint16) error {
	return c.do(kcm.OpChmod, binary.BigEndian.AppendUint16(name(cache), mode))
}

// getName sends a request whose reply is a cache name.
func (c *Client) getName(op kcm.Opcode, args []byte) (string, error) {
	d, err := c.get(op, args)
	if err != nil {
		return "", err
	}
	return d.Name(), checked(op, d)
}

// getUUIDs sends a request whose reply is a list of UUIDs.
func (c *Client) getUUIDs(op kcm.Opcode, args []byte) ([]uuid.UUID, error) {
	d, err := c.get(op, args)
	if err != nil {
		return nil, err
	}
	var list []uuid.UUID
	for d.Err() == nil && len(d.Rest()) > 0 {
		list = append(list, d.UUID())
	}
	return list, checked(op, d)
}
