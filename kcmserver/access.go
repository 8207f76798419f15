package kcmserver

import (
	"errors"
	"slices"
	"strconv"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// Without SELinux a uid has one collection in each namespace, and everything in
// it is visible to the uid. With SELinux it has one at each level at which its
// processes run, so that two containers of one uid can both have a cache of the
// same name, and a default of their own. A peer works in the collection of its
// own level: its new caches are there, and its default.
//
// A peer also sees those caches of other levels that the policy allows, as the
// processes of the host see those of its containers, unless a name in the peer's
// own collection shadows them: that of a cache, or that of the default cache even
// while there is none. Otherwise kdestroy on the host would destroy what a
// container calls by the same name.

// A found cache is visible to the peer. It is as of the latest commit before the
// request: what changes it checks again, in its transaction.
type found struct {
	*ccstore.Cache
	owner ccstore.Owner // of the collection that has it
}

// lookup returns the cache of that name, if the peer has the permission of the
// operation for it. A cache that is not visible to the peer does not exist.
func (c *call) lookup(name string) (found, error) {
	owner, err := ownerOf(c.conn.peer, name)
	if errors.Is(err, errPermission) {
		err = ccstore.ErrNoCache
	}
	if err != nil {
		return found{}, err
	}
	cache, err := c.find(owner, name)
	if errors.Is(err, ccstore.ErrNoCache) && c.meansDefault(owner, name) {
		cache, err = c.findDefault(owner)
	}
	if err != nil {
		return found{}, err
	}
	return cache, c.check(cache.Cache)
}

// check returns an error unless the peer has the permission of the operation for
// a cache.
func (c *call) check(cache *ccstore.Cache) error {
	switch {
	case !c.allowed(cache, selinux.Use):
		return ccstore.ErrNoCache
	case !c.allowed(cache, c.perm):
		return errLabel
	}
	return nil
}

// find returns the visible cache of that name: the one in owner's collection, or
// one of another level.
func (c *call) find(owner ccstore.Owner, name string) (found, error) {
	own, err := c.collection(owner)
	if err != nil {
		return found{}, err
	}
	if c.shadows(own, name) {
		cache, err := own.Cache(name)
		return found{cache, owner}, err
	}
	return c.findInOthers(owner, func(col *ccstore.Collection) *ccstore.Cache {
		cache, _ := col.Cache(name)
		return cache
	})
}

// findInOthers returns the first visible cache that pick picks from the
// collections of the owner's uid at other levels.
func (c *call) findInOthers(owner ccstore.Owner, pick func(*ccstore.Collection) *ccstore.Cache) (found, error) {
	others, err := c.others(owner)
	if err != nil {
		return found{}, err
	}
	for _, other := range others {
		col, err := c.collection(other)
		if err != nil {
			return found{}, err
		}
		if cache := pick(col); cache != nil && c.allowed(cache, selinux.Use) {
			return found{cache, other}, nil
		}
	}
	return found{}, ccstore.ErrNoCache
}

// meansDefault reports whether the name of no cache means the default cache of a
// user: for root, who reads "KCM:UID" as rpc.gssd and administrators do.
func (c *call) meansDefault(owner ccstore.Owner, name string) bool {
	reads := c.perm == selinux.Use || c.perm == selinux.Read
	return reads && c.conn.peer.UID == 0 && owner.UID != 0 && name == strconv.FormatUint(uint64(owner.UID), 10)
}

// findDefault returns the default cache of the owner's uid.
func (c *call) findDefault(owner ccstore.Owner) (found, error) {
	own, err := c.collection(owner)
	if err != nil {
		return found{}, err
	}
	if cache := own.Default(); cache != nil && c.allowed(cache, selinux.Use) {
		return found{cache, owner}, nil
	}
	return c.findInOthers(owner, (*ccstore.Collection).Default)
}

// defaultName returns the name of the peer's default cache.
func (c *call) defaultName() (string, error) {
	own, err := c.collection(c.own())
	if err != nil {
		return "", err
	}
	if c.conn.server.defaultFirst.Load() && own.Default() == nil {
		caches, err := c.visible()
		if err != nil {
			return "", err
		}
		if best := ccstore.Best(caches, c.start); best != nil {
			return best.Name, nil
		}
		if len(caches) > 0 {
			return caches[0].Name, nil
		}
	}
	return own.DefaultName(), nil
}

// shadows reports whether a name in a collection at the peer's own level shadows
// the caches of other levels.
func (c *call) shadows(own *ccstore.Collection, name string) bool {
	_, err := own.Cache(name)
	return err == nil || own.Owner() == c.own() && name == own.DefaultName()
}

// others returns the collections of the owner's uid at other levels.
func (c *call) others(owner ccstore.Owner) ([]ccstore.Owner, error) {
	if c.conn.server.selinux == nil {
		return nil, nil
	}
	levels, err := c.conn.server.store.Levels(c.ctx, owner.Namespace, owner.UID)
	if err != nil {
		return nil, err
	}
	var list []ccstore.Owner
	for _, level := range levels {
		if level != owner.Level {
			list = append(list, ccstore.Owner{Namespace: owner.Namespace, UID: owner.UID, Level: level})
		}
	}
	return list, nil
}

// visible returns the peer's caches that it can reach by their names: those of
// its own level first, and of these the default one.
func (c *call) visible() ([]*ccstore.Cache, error) {
	own, err := c.collection(c.own())
	if err != nil {
		return nil, err
	}
	others, err := c.others(c.own())
	if err != nil {
		return nil, err
	}
	list := slices.DeleteFunc(own.Caches(), func(cache *ccstore.Cache) bool { return !c.allowed(cache, selinux.Use) })
	named := make(map[string]bool) // of several with one name only the first can be reached
	for _, other := range others {
		col, err := c.collection(other)
		if err != nil {
			return nil, err
		}
		for _, cache := range col.Caches() {
			if !named[cache.Name] && !c.shadows(own, cache.Name) && c.allowed(cache, selinux.Use) {
				named[cache.Name] = true
				list = append(list, cache)
			}
		}
	}
	return list, nil
}

// visibleByUUID returns one of the visible caches, or errEnd.
func (c *call) visibleByUUID(id uuid.UUID) (*ccstore.Cache, error) {
	own, err := c.collection(c.own())
	if err != nil {
		return nil, err
	}
	if cache, err := own.CacheByUUID(id); err == nil {
		if !c.allowed(cache, selinux.Use) {
			return nil, errEnd
		}
		return cache, nil
	}
	if c.conn.server.selinux == nil {
		return nil, errEnd
	}
	caches, err := c.visible()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(caches, func(cache *ccstore.Cache) bool { return cache.UUID == id }); i >= 0 {
		return caches[i], nil
	}
	return nil, errEnd
}

// allowed asks the SELinux policy, where there is one. Caches without a label
// are from a time without SELinux: their uid alone decides.
func (c *call) allowed(cache *ccstore.Cache, perm selinux.Permission) bool {
	policy := c.conn.server.selinux
	return policy == nil || cache.Label == "" || policy.Allowed(c.conn.peer.Label, cache.Label, perm)
}

// commit has f change a collection, in a turn of its own: a commit waits for others
// and for the disk.
func (c *call) commit(owner ccstore.Owner, f func(*ccstore.Tx) error) error {
	c.conn.endTurn()
	err := c.conn.server.store.Update(c.ctx, owner, func(tx *ccstore.Tx) error {
		if err := c.conn.beginTurn(c.ctx); err != nil {
			return err
		}
		defer c.conn.endTurn()
		return f(tx)
	})
	if err == nil && c.destroyed != uuid.Nil {
		c.conn.server.listings.destroyed(c.destroyed)
	}
	return err
}

// update has f change the cache of that name in owner's collection, if the peer
// has the permission of the operation for it when the transaction runs.
func (c *call) update(owner ccstore.Owner, name string, f func(*ccstore.Tx) error) error {
	return c.commit(owner, func(tx *ccstore.Tx) error {
		cache, err := tx.Cache(name)
		if err != nil {
			return err
		}
		if err := c.check(cache); err != nil {
			return err
		}
		return f(tx)
	})
}

// create has f create the cache of that name, or fill it anew.
func (c *call) create(name string, f func(*ccstore.Tx)) error {
	owner, err := ownerOf(c.conn.peer, name)
	if err != nil {
		return err
	}
	return c.commit(owner, func(tx *ccstore.Tx) error {
		return c.checkAndFill(tx, name, func() error { f(tx); return nil })
	})
}

// checkAndFill has f create or fill the cache of that name, which gets the
// peer's label if it is new. It fails with errLabel for a cache without the
// permission, be it visible or not: the name is taken.
func (c *call) checkAndFill(tx *ccstore.Tx, name string, f func() error) error {
	if cache, err := tx.Cache(name); err == nil && !c.allowed(cache, c.perm) {
		return errLabel
	}
	tx.SetLabel(c.conn.peer.Label)
	return f()
}

// moveAttempts bounds how often moveTo copies a cache that changes meanwhile.
const moveAttempts = 5

// moveTo moves a cache to the name c.args.to in another collection: it copies the cache, and destroys
// it if it is still what was copied. Otherwise a ticket stored meanwhile would be
// lost.
func (c *call) moveTo(source found) error {
	for range moveAttempts {
		if err := c.create(c.args.to, func(tx *ccstore.Tx) { tx.Copy(source.Cache, c.args.to) }); err != nil {
			return err
		}
		copied := source.Cache
		err := c.update(source.owner, c.args.name, func(tx *ccstore.Tx) error {
			cache, err := tx.Cache(c.args.name)
			if err != nil {
				return err
			}
			if source.Cache = cache; cache != copied {
				return errChanging
			}
			return tx.Destroy(c.args.name)
		})
		if !errors.Is(err, errChanging) {
			return err
		}
	}
	return errChanging
}

// own returns the peer's own collection.
func (c *call) own() ccstore.Owner {
	p := c.conn.peer
	return ccstore.Owner{Namespace: p.Namespace, UID: p.UID, Level: p.Level}
}

// collection returns the collection as of its latest commit.
func (c *call) collection(owner ccstore.Owner) (*ccstore.Collection, error) {
	return c.conn.server.store.Snapshot(c.ctx, owner)
}
