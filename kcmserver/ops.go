package kcmserver

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// An op is one operation of the protocol.
type op struct {
	signature string // arguments -> data
	handle    func(*call) error
}

// ops lists every operation of the protocol. Other opcodes get the same answer
// as those that are not supported.
var ops = map[kcm.Opcode]op{
	kcm.OpNoop:             {"() -> ()", (*call).noop},
	kcm.OpGetName:          {"(name) -> (name)", (*call).getName},
	kcm.OpResolve:          {"(name) -> ()", (*call).noop},
	kcm.OpGenNew:           {"() -> (name)", (*call).genNew},
	kcm.OpInitialize:       {"(name, princ) -> ()", (*call).initialize},
	kcm.OpDestroy:          {"(name) -> ()", (*call).destroy},
	kcm.OpStore:            {"(name, cred) -> ()", (*call).store},
	kcm.OpRetrieve:         {"(name, flags, mcred) -> (cred)", (*call).retrieve},
	kcm.OpGetPrincipal:     {"(name) -> (princ)", (*call).getPrincipal},
	kcm.OpGetCredUUIDList:  {"(name) -> (uuid, ...)", (*call).getCredUUIDList},
	kcm.OpGetCredByUUID:    {"(name, uuid) -> (cred)", (*call).getCredByUUID},
	kcm.OpRemoveCred:       {"(name, flags, mcred) -> ()", (*call).removeCred},
	kcm.OpSetFlags:         {"(name, flags) -> ()", (*call).setFlags},
	kcm.OpChown:            {"(name, uid, gid) -> ()", (*call).chown},
	kcm.OpChmod:            {"(name, mode) -> ()", (*call).chmod},
	kcm.OpGetInitialTicket: {"(name, present, princ, key) -> ()", (*call).unsupported}, // would speak to a KDC for anyone
	kcm.OpGetTicket:        {"(name, flags, enctype, princ) -> ()", (*call).unsupported},
	kcm.OpMoveCache:        {"(name from, name to) -> ()", (*call).moveCache},
	kcm.OpGetCacheUUIDList: {"() -> (uuid, ...)", (*call).getCacheUUIDList},
	kcm.OpGetCacheByUUID:   {"(uuid) -> (name)", (*call).getCacheByUUID},
	kcm.OpGetDefaultCache:  {"() -> (name)", (*call).getDefaultCache},
	kcm.OpSetDefaultCache:  {"(name) -> ()", (*call).setDefaultCache},
	kcm.OpGetKDCOffset:     {"(name) -> (offset)", (*call).getKDCOffset},
	kcm.OpSetKDCOffset:     {"(name, offset) -> ()", (*call).setKDCOffset},
	kcm.OpAddNTLMCred:      {"(user, domain, nthash) -> (uuid)", (*call).unsupported},
	kcm.OpHaveNTLMCred:     {"(user, domain) -> ()", (*call).unsupported},
	kcm.OpDelNTLMCred:      {"(user, domain) -> ()", (*call).unsupported},
	kcm.OpDoNTLMAuth:       {"(user, domain, type2) -> (type3, flags, key)", (*call).unsupported},
	kcm.OpGetNTLMUserList:  {"() -> ({1, user, domain}, ..., 0)", (*call).unsupported},
	kcm.OpGetCredList:      {"(name) -> (count, {len, cred}, ...)", (*call).getCredList},
	kcm.OpReplace:          {"(name, offset, princ, count, {len, cred}, ...) -> ()", (*call).replace},
}

// A call is one request being answered.
type call struct {
	ctx  context.Context
	conn *conn
	in   kcm.Decoder
	name string // of the cache, for the log
	out  reply  // empty at first

	start time.Time // when the request was here
}

// begin makes c the call of a connection with those arguments.
func (c *call) begin(ctx context.Context, of *conn, args []byte, start time.Time) {
	in := c.in
	if in.Decoder == nil {
		in = kcm.NewDecoder(nil)
	}
	in.Reset(args)
	*c = call{ctx: ctx, conn: of, in: in, out: c.out, start: start}
}

// noop also answers RESOLVE: any name may be resolved, and that it may be used
// is checked where it is.
func (c *call) noop() error { return nil }

func (c *call) unsupported() error { return errUnsupported }

func (c *call) getName() error {
	cache, err := c.cache(c.cacheName(), selinux.Use)
	if err != nil {
		return err
	}
	return c.putName(cache.Name)
}

func (c *call) genNew() error {
	col, err := c.collection(c.own())
	if err != nil {
		return err
	}
	return c.putName(col.UniqueName())
}

func (c *call) initialize() error {
	name := c.cacheName()
	principal := c.in.Principal("principal")
	return c.create(name, func(tx *ccstore.Tx) { tx.Initialize(name, principal) })
}

func (c *call) destroy() error {
	name := c.cacheName()
	return c.update(name, selinux.Manage, func(tx *ccstore.Tx) error { return tx.Destroy(name) })
}

func (c *call) store() error {
	name := c.cacheName()
	cred := c.in.Credential("credential")
	return c.update(name, selinux.Write, func(tx *ccstore.Tx) error { return tx.Store(name, cred) })
}

func (c *call) retrieve() error {
	name := c.cacheName()
	match := c.in.Match()
	cache, err := c.cache(name, selinux.Read)
	if err != nil {
		return err
	}
	cred, err := cache.Find(match)
	if err != nil {
		return err
	}
	cred.Use(c.start)
	return c.put(cred.Bytes())
}

func (c *call) getPrincipal() error {
	cache, err := c.cache(c.cacheName(), selinux.Use)
	if err != nil {
		return err
	}
	return c.put(cache.Principal.Append(nil))
}

func (c *call) getCredUUIDList() error {
	name := c.cacheName()
	cache, err := c.cache(name, selinux.Read)
	if err != nil {
		return err
	}
	var last uuid.UUID
	for cred := range cache.Credentials() {
		if err := c.put(cred.UUID[:]); err != nil {
			return err
		}
		last = cred.UUID
	}
	c.conn.lists.add(name, listing{cache, last})
	return nil
}

func (c *call) getCredByUUID() error {
	name := c.cacheName()
	id := c.in.UUID()
	cache, err := c.cache(name, selinux.Read)
	if err != nil {
		return err
	}
	cred, err := cache.Credential(id)
	if err != nil {
		// MIT takes KRB5_CC_END here for the end of the list, so that a cache
		// rewritten half way would look cut short. Go on with what was listed.
		cred, err = c.conn.lists.find(name, cache, id)
	}
	c.conn.lists.asked(name, id)
	if err != nil {
		return errEnd
	}
	return c.put(cred.Bytes())
}

// removeCred succeeds where nothing matches, as all cache types of MIT do.
func (c *call) removeCred() error {
	name := c.cacheName()
	match := c.in.RemoveMatch()
	return c.update(name, selinux.Write, func(tx *ccstore.Tx) error {
		_, err := tx.Remove(name, match)
		return err
	})
}

// setFlags sets nothing: Heimdal's klist asks for its own convenience, and goes
// no further if it is refused.
func (c *call) setFlags() error {
	name := c.cacheName()
	c.in.Uint32("flags")
	_, err := c.cache(name, selinux.Use)
	return err
}

// chown gives no cache away. It succeeds where nothing would change.
func (c *call) chown() error {
	name := c.cacheName()
	uid := c.in.Uint32("uid")
	c.in.Uint32("gid") // caches have no group
	target, err := c.existing(name, selinux.Manage)
	if err != nil {
		return err
	}
	if uid != target.owner.UID && uid != unchanged {
		return fmt.Errorf("%w: to uid %d", errGiveAway, uid)
	}
	return nil
}

// unchanged is the uid that chown(2) leaves alone.
const unchanged = 0xffffffff

// chmod opens no cache to others. It succeeds for the owner's rights alone,
// which is what a cache has.
func (c *call) chmod() error {
	name := c.cacheName()
	mode := c.in.Uint16("mode")
	if _, err := c.cache(name, selinux.Manage); err != nil {
		return err
	}
	if mode&0o777 != 0o600 {
		return fmt.Errorf("%w: %#o", errMode, mode)
	}
	return nil
}

// moveCache is one transaction, unless root moves a cache to another user: then
// for a moment both have it.
func (c *call) moveCache() error {
	from, to := c.cacheName(), c.in.Name()
	source, err := c.existing(from, selinux.Manage)
	if err != nil {
		return err
	}
	target, err := c.target(to)
	if err != nil {
		return err
	}
	if source.owner == target {
		return c.update(from, selinux.Manage, func(tx *ccstore.Tx) error {
			var moved error
			if err := c.fill(tx, to, func() { moved = tx.Move(from, to) }); err != nil {
				return err
			}
			return moved
		})
	}
	if err := c.create(to, func(tx *ccstore.Tx) { tx.Copy(source.cache, to) }); err != nil {
		return err
	}
	return c.update(from, selinux.Manage, func(tx *ccstore.Tx) error { return tx.Destroy(from) })
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
	cache, err := c.visibleByUUID(c.in.UUID())
	if err != nil {
		return err
	}
	return c.putName(cache.Name)
}

func (c *call) getDefaultCache() error {
	col, err := c.collection(c.own())
	if err != nil {
		return err
	}
	name := col.DefaultName()
	if c.conn.server.defaultFirst && col.Default() == nil {
		if caches, err := c.visible(); err == nil && len(caches) > 0 {
			name = caches[0].Name
		}
	}
	return c.putName(name)
}

// setDefaultCache sets the default of the collection that the name belongs to,
// also where root names another user's.
func (c *call) setDefaultCache() error {
	name := c.cacheName()
	owner, err := c.target(name)
	if err != nil {
		return err
	}
	return c.conn.server.store.Update(c.ctx, owner, func(tx *ccstore.Tx) error {
		tx.SetDefault(name)
		return nil
	})
}

func (c *call) getKDCOffset() error {
	cache, err := c.cache(c.cacheName(), selinux.Use)
	if err != nil {
		return err
	}
	return c.putUint32(uint32(cache.KDCOffset))
}

func (c *call) setKDCOffset() error {
	name := c.cacheName()
	offset := c.in.Int32("KDC offset")
	return c.update(name, selinux.Write, func(tx *ccstore.Tx) error { return tx.SetKDCOffset(name, offset) })
}

func (c *call) getCredList() error {
	cache, err := c.cache(c.cacheName(), selinux.Read)
	if err != nil {
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

func (c *call) replace() error {
	name := c.cacheName()
	offset := c.in.Int32("KDC offset")
	principal := c.in.Principal("principal")
	creds := c.in.CredentialList()
	return c.create(name, func(tx *ccstore.Tx) { tx.Replace(name, principal, offset, creds) })
}

// cacheName reads the name that the request is about.
func (c *call) cacheName() string {
	c.name = c.in.Name()
	return c.name
}

// put appends to the reply's data.
func (c *call) put(b []byte) error {
	if err := c.room(len(b)); err != nil {
		return err
	}
	c.out.add(b)
	return nil
}

func (c *call) putUint32(n uint32) error {
	if err := c.room(4); err != nil {
		return err
	}
	c.out.addUint32(n)
	return nil
}

// room asks whether n more bytes may be in the reply.
func (c *call) room(n int) error {
	size := c.out.size + n
	if size-kcm.ReplyHeaderLen > kcm.MaxReplyData {
		return errReplyTooLarge
	}
	if size > keepBuffer {
		return c.conn.enterLarge()
	}
	return nil
}

func (c *call) putName(name string) error { return c.put(kcm.AppendName(nil, name)) }
