package kcmserver

import (
	"errors"
	"fmt"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// An op is one operation of the protocol.
type op struct {
	args    []arg
	perm    selinux.Permission // that the peer needs for the cache of the first argument
	handler handler
}

type args = []arg

// none is the permission of operations on no particular cache.
const none selinux.Permission = ""

// ops lists every operation of the protocol. An opcode without a row gets the
// same answer as an operation that is not supported.
var ops = map[kcm.Opcode]op{
	kcm.OpNoop:             {args{}, none, plain((*call).noop)},
	kcm.OpGetName:          {args{argName}, selinux.Use, read((*call).getName)},
	kcm.OpResolve:          {args{argName}, none, plain((*call).noop)},
	kcm.OpGenNew:           {args{}, none, plain((*call).genNew)},
	kcm.OpInitialize:       {args{argName, argPrincipal}, selinux.Manage, create((*call).initialize)},
	kcm.OpDestroy:          {args{argName}, selinux.Manage, change((*call).destroy)},
	kcm.OpStore:            {args{argName, argCredential}, selinux.Write, change((*call).store)},
	kcm.OpRetrieve:         {args{argName, argMatch}, selinux.Read, read((*call).retrieve)},
	kcm.OpGetPrincipal:     {args{argName}, selinux.Use, read((*call).getPrincipal)},
	kcm.OpGetCredUUIDList:  {args{argName}, selinux.Read, read((*call).getCredUUIDList)},
	kcm.OpGetCredByUUID:    {args{argName, argUUID}, selinux.Read, read((*call).getCredByUUID)},
	kcm.OpRemoveCred:       {args{argName, argRemoveMatch}, selinux.Write, change((*call).removeCred)},
	kcm.OpSetFlags:         {args{argName, argFlags}, selinux.Use, read((*call).setFlags)},
	kcm.OpChown:            {args{argName, argUID, argGID}, selinux.Manage, read((*call).chown)},
	kcm.OpChmod:            {args{argName, argMode}, selinux.Manage, read((*call).chmod)},
	kcm.OpGetInitialTicket: unsupported, // it would have kcmd speak to a KDC for anyone
	kcm.OpGetTicket:        unsupported,
	kcm.OpMoveCache:        {args{argName, argNameTo}, selinux.Manage, read((*call).moveCache)},
	kcm.OpGetCacheUUIDList: {args{}, none, plain((*call).getCacheUUIDList)},
	kcm.OpGetCacheByUUID:   {args{argUUID}, none, plain((*call).getCacheByUUID)},
	kcm.OpGetDefaultCache:  {args{}, none, plain((*call).getDefaultCache)},
	kcm.OpSetDefaultCache:  {args{argName}, none, plain((*call).setDefaultCache)},
	kcm.OpGetKDCOffset:     {args{argName}, selinux.Use, read((*call).getKDCOffset)},
	kcm.OpSetKDCOffset:     {args{argName, argKDCOffset}, selinux.Write, change((*call).setKDCOffset)},
	kcm.OpAddNTLMCred:      unsupported,
	kcm.OpHaveNTLMCred:     unsupported,
	kcm.OpDelNTLMCred:      unsupported,
	kcm.OpDoNTLMAuth:       unsupported,
	kcm.OpGetNTLMUserList:  unsupported,
	kcm.OpGetCredList:      {args{argName}, selinux.Read, read((*call).getCredList)},
	kcm.OpReplace:          {args{argName, argKDCOffset, argPrincipal, argCredentials}, selinux.Manage, create((*call).replace)},
}

// unsupported is the row of operations that no handler answers. Their arguments
// are not read.
var unsupported = op{args{}, none, plain(func(*call) error { return errUnsupported })}

// noop also answers RESOLVE: every name can be resolved, and each operation
// checks the name that it uses.
func (c *call) noop() error { return nil }

func (c *call) getName(cache found) error { return c.putName(cache.Name) }

func (c *call) genNew() error {
	own, err := c.collection(c.own())
	if err != nil {
		return err
	}
	return c.putName(own.UniqueName())
}

func (c *call) initialize(tx *ccstore.Tx) { tx.Initialize(c.args.name, c.args.principal) }

func (c *call) replace(tx *ccstore.Tx) {
	tx.Replace(c.args.name, c.args.principal, c.args.kdcOffset, c.args.creds)
}

func (c *call) destroy(tx *ccstore.Tx) error {
	cache, err := tx.Cache(c.args.name)
	if err != nil {
		return err
	}
	c.destroyed = cache.UUID
	return tx.Destroy(c.args.name)
}

func (c *call) store(tx *ccstore.Tx) error { return tx.Store(c.args.name, c.args.cred) }

// retrieve does not answer from a cache with a KDC offset that matters, so that
// MIT clients list the credentials instead. Only then does libkrb5 from 1.20 on
// ask for the offset, without which the KDC and services refuse what the client
// sends. An earlier GET_KDC_OFFSET on this connection changes nothing: libkrb5
// keeps the offset in a krb5_context, and GSSAPI uses a cache handle with several.
func (c *call) retrieve(cache found) error {
	cred, err := cache.FindInSteps(c.args.match, c.conn.pause)
	if err == nil {
		cred.Use()
	}
	c.retrieved(cache, cred, err)
	if offsetMatters(cache.KDCOffset) && (err == nil || errors.Is(err, ccstore.ErrNoCredential)) {
		return errList
	}
	if err != nil {
		return err
	}
	return c.put(cred.Bytes())
}

// offsetMatters reports whether a client must know the KDC's offset in seconds.
// Kerberos allows five minutes (RFC 4120, section 8.1); up to a fifth of that is
// left to the clients.
func offsetMatters(seconds int32) bool { return seconds >= 60 || seconds <= -60 }

func (c *call) getPrincipal(cache found) error { return c.put(cache.Principal.Append(nil)) }

func (c *call) getCredUUIDList(cache found) error {
	if err := c.room(cache.Len() * len(uuid.UUID{})); err != nil {
		return err
	}
	var last uuid.UUID
	for cred := range cache.Credentials() {
		if err := c.put(cred.UUID[:]); err != nil {
			return err
		}
		last = cred.UUID
	}
	c.conn.server.listings.add(c.conn, cache.Cache, last)
	return nil
}

func (c *call) getCredByUUID(cache found) error {
	cred, err := cache.Credential(c.args.uuid)
	listed, listedErr := c.conn.server.listings.find(c.conn, cache.UUID, c.args.uuid)
	if err != nil {
		// MIT takes KRB5_CC_END here for the end of the list, so that a cache
		// rewritten meanwhile would look cut short. Go on with the listing.
		cred, err = listed, listedErr
	}
	if err != nil {
		return errEnd
	}
	return c.put(cred.Bytes())
}

// removeCred succeeds where nothing matches, as all cache types of MIT do.
func (c *call) removeCred(tx *ccstore.Tx) error {
	_, err := tx.Remove(c.args.name, c.args.match)
	return err
}

// setFlags sets nothing: Heimdal's klist sends it and stops if it fails.
func (c *call) setFlags(found) error { return nil }

// chown gives no cache to another user. It succeeds where nothing would change.
func (c *call) chown(cache found) error {
	if c.args.uid != cache.owner.UID && c.args.uid != unchanged {
		return fmt.Errorf("%w: to uid %d", errGiveAway, c.args.uid)
	}
	return nil
}

// unchanged is the uid that chown(2) leaves alone.
const unchanged = 0xffffffff

// chmod opens no cache to others. It succeeds for mode 0600, which every cache
// has.
func (c *call) chmod(found) error {
	if c.args.mode&0o777 != 0o600 {
		return fmt.Errorf("%w: %#o", errMode, c.args.mode)
	}
	return nil
}

// moveCache is one transaction, unless the cache moves to another collection:
// then both have it for a moment.
func (c *call) moveCache(source found) error {
	target, err := ownerOf(c.conn.peer, c.args.to)
	if err != nil {
		return err
	}
	if source.owner != target {
		return c.moveTo(source)
	}
	return c.update(target, c.args.name, func(tx *ccstore.Tx) error {
		return c.checkAndFill(tx, c.args.to, func() error { return tx.Move(c.args.name, c.args.to) })
	})
}

// getCacheUUIDList puts the default cache first: MIT clients before 1.14 show
// the caches in the order of the list.
func (c *call) getCacheUUIDList() error {
	caches, err := c.visible()
	if err != nil {
		return err
	}
	for _, cache := range caches {
		if err := c.put(cache.UUID[:]); err != nil {
			return err
		}
	}
	return nil
}

func (c *call) getCacheByUUID() error {
	cache, err := c.visibleByUUID(c.args.uuid)
	if err != nil {
		return err
	}
	return c.putName(cache.Name)
}

func (c *call) getDefaultCache() error {
	name, err := c.defaultName()
	if err != nil {
		return err
	}
	return c.putName(name)
}

// setDefaultCache sets the default of the collection that the name belongs to,
// also where root names another user's.
func (c *call) setDefaultCache() error {
	owner, err := ownerOf(c.conn.peer, c.args.name)
	if err != nil {
		return err
	}
	return c.commit(owner, func(tx *ccstore.Tx) error {
		tx.SetDefault(c.args.name)
		return nil
	})
}

func (c *call) getKDCOffset(cache found) error { return c.putUint32(uint32(cache.KDCOffset)) }

func (c *call) setKDCOffset(tx *ccstore.Tx) error {
	return tx.SetKDCOffset(c.args.name, c.args.kdcOffset)
}

func (c *call) getCredList(cache found) error {
	const lengthWord = 4
	size := lengthWord
	for cred := range cache.Credentials() {
		size += lengthWord + len(cred.Bytes())
	}
	if err := c.room(size); err != nil {
		return err
	}
	if err := c.putUint32(uint32(cache.Len())); err != nil {
		return err
	}
	for cred := range cache.Credentials() {
		b := cred.Bytes()
		if err := c.putUint32(uint32(len(b))); err != nil {
			return err
		}
		if err := c.put(b); err != nil {
			return err
		}
	}
	return nil
}
