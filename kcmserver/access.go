package kcmserver

import (
	"errors"
	"slices"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// Without SELinux a uid has one collection in each namespace, and everything in
// it is visible to the uid. With SELinux it has one at each level at which its
// processes run: so that two containers of one uid can both have a cache of the
// same name, and a default of their own. A peer works in the collection of its
// own level: there its caches are made, and there is its default.
//
// Besides it sees those caches of other levels that the policy allows, as the
// processes of the host see those of its containers, unless a name of its own
// hides them: that of a cache that it has, or of its default cache even while
// there is none. Otherwise kdestroy on the host would destroy what a container
// calls by the same name.

// A found cache is one that the caller may know of.
type found struct {
	owner ccstore.Owner // whose collection it is in
	cache *ccstore.Cache
}

// find returns the cache of that name: the one in owner's collection, or one of
// another level. What the peer may not see is not there.
func (c *call) find(owner ccstore.Owner, name string) (found, error) {
	own, err := c.collection(owner)
	if err != nil {
		return found{}, err
	}
	if c.hides(own, name) {
		cache, err := own.Cache(name)
		if err == nil && !c.allowed(cache, selinux.Use) {
			err = ccstore.ErrNoCache
		}
		return found{owner, cache}, err
	}
	others, err := c.others(owner)
	if err != nil {
		return found{}, err
	}
	for _, o := range others {
		col, err := c.collection(o)
		if err != nil {
			return found{}, err
		}
		if cache, err := col.Cache(name); err == nil && c.allowed(cache, selinux.Use) {
			return found{o, cache}, nil
		}
	}
	return found{}, ccstore.ErrNoCache
}

// hides reports whether the name means something in a collection at the peer's
// own level, so that no other is looked at.
func (c *call) hides(own *ccstore.Collection, name string) bool {
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

// visible returns the caches of the caller that it may know of and reach by
// their names: those of its own level first, and of these the default one.
func (c *call) visible() ([]*ccstore.Cache, error) {
	if err := c.in.Err(); err != nil {
		return nil, err
	}
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
	for _, o := range others {
		col, err := c.collection(o)
		if err != nil {
			return nil, err
		}
		for _, cache := range col.Caches() {
			if !named[cache.Name] && !c.hides(own, cache.Name) && c.allowed(cache, selinux.Use) {
				named[cache.Name] = true
				list = append(list, cache)
			}
		}
	}
	return list, nil
}

// visibleByUUID returns one of the visible caches, or errEnd.
func (c *call) visibleByUUID(id uuid.UUID) (*ccstore.Cache, error) {
	if err := c.in.Err(); err != nil {
		return nil, err
	}
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

// existing returns the cache of that name, with which the caller wants to do
// perm. A cache that is not for the caller is not there.
func (c *call) existing(name string, perm selinux.Permission) (found, error) {
	if err := c.in.Err(); err != nil {
		return found{}, err
	}
	owner, err := ownerOf(c.conn.peer, name)
	if errors.Is(err, errPermission) {
		err = ccstore.ErrNoCache
	}
	if err != nil {
		return found{}, err
	}
	f, err := c.find(owner, name)
	if err == nil && !c.allowed(f.cache, perm) {
		return found{}, errLabel
	}
	return f, err
}

// cache returns the cache of that name, to do perm with it.
func (c *call) cache(name string, perm selinux.Permission) (*ccstore.Cache, error) {
	f, err := c.existing(name, perm)
	return f.cache, err
}

// update changes a cache that should be there.
func (c *call) update(name string, perm selinux.Permission, f func(*ccstore.Tx) error) error {
	target, err := c.existing(name, perm)
	if err != nil {
		return err
	}
	return c.conn.server.store.Update(c.ctx, target.owner, f)
}

// create makes a cache in the collection of the peer's own level, or fills the
// one of that name there anew.
func (c *call) create(name string, f func(*ccstore.Tx)) error {
	owner, err := c.target(name)
	if err != nil {
		return err
	}
	return c.conn.server.store.Update(c.ctx, owner, func(tx *ccstore.Tx) error {
		return c.fill(tx, name, func() { f(tx) })
	})
}

// target returns the collection in which a cache of that name is to be made.
func (c *call) target(name string) (ccstore.Owner, error) {
	if err := c.in.Err(); err != nil {
		return ccstore.Owner{}, err
	}
	return ownerOf(c.conn.peer, name)
}

// fill has f make or fill the cache of that name, which then bears the peer's
// label if it is new.
func (c *call) fill(tx *ccstore.Tx, name string, f func()) error {
	// Where the name is taken by a cache that the caller may not know of,
	// there is nothing to say but no.
	if cache, err := tx.Cache(name); err == nil && !c.allowed(cache, selinux.Manage) {
		return errLabel
	}
	tx.SetLabel(c.conn.peer.Label)
	f()
	return nil
}

// own returns the caller's own collection.
func (c *call) own() ccstore.Owner {
	p := c.conn.peer
	return ccstore.Owner{Namespace: p.Namespace, UID: p.UID, Level: p.Level}
}

// collection returns the collection as it is now.
func (c *call) collection(owner ccstore.Owner) (*ccstore.Collection, error) {
	return c.conn.server.store.Snapshot(c.ctx, owner)
}
