package kcmserver

import (
	"errors"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// Without SELinux a uid has one collection in each namespace, and everything in
// it is visible to the uid. With SELinux it has one at each level at which its
// processes run: so that two containers of one uid can both have a cache of the
// same name, and a default of their own. A peer works in the collection of its
// own level, and besides sees those caches of other levels that the policy
// allows (as the processes of the host see those of its containers).

// A found cache is one that the caller may know of.
type found struct {
	owner ccstore.Owner // whose collection it is in
	cache *ccstore.Cache
}

// find returns the cache of that name in the uid's collections, the one of the
// peer's own level before others. What the peer may not see is not there.
func (c *call) find(owner ccstore.Owner, name string) (found, error) {
	owners, err := c.reach(owner)
	if err != nil {
		return found{}, err
	}
	for _, o := range owners {
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

// reach returns the collections of the owner's uid in which the peer may see
// something, owner itself first.
func (c *call) reach(owner ccstore.Owner) ([]ccstore.Owner, error) {
	owners := []ccstore.Owner{owner}
	if c.conn.server.selinux == nil {
		return owners, nil
	}
	levels, err := c.conn.server.store.Levels(c.ctx, owner.Namespace, owner.UID)
	if err != nil {
		return nil, err
	}
	for _, level := range levels {
		if level != owner.Level {
			owners = append(owners, ccstore.Owner{Namespace: owner.Namespace, UID: owner.UID, Level: level})
		}
	}
	return owners, nil
}

// visible returns the caches of the caller that it may know of: those of its
// own level first, and of these the default one.
func (c *call) visible() ([]*ccstore.Cache, error) {
	if err := c.in.Err(); err != nil {
		return nil, err
	}
	owners, err := c.reach(c.own())
	if err != nil {
		return nil, err
	}
	var list []*ccstore.Cache
	for _, o := range owners {
		col, err := c.collection(o)
		if err != nil {
			return nil, err
		}
		for _, cache := range col.Caches() {
			if c.allowed(cache, selinux.Use) {
				list = append(list, cache)
			}
		}
	}
	return list, nil
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

// create makes a cache, or fills the one of that name anew.
func (c *call) create(name string, f func(*ccstore.Tx)) error {
	target, err := c.target(name)
	if err != nil {
		return err
	}
	return c.conn.server.store.Update(c.ctx, target, func(tx *ccstore.Tx) error {
		// Where the name is taken by a cache that the caller may not know of,
		// there is nothing to say but no.
		if cache, err := tx.Cache(name); err == nil && !c.allowed(cache, selinux.Manage) {
			return errLabel
		}
		tx.SetLabel(c.conn.peer.Label)
		f(tx)
		return nil
	})
}

// target returns the collection in which a cache of that name is to be made:
// the one in which the caller sees it already, else the one of its own level.
func (c *call) target(name string) (ccstore.Owner, error) {
	if err := c.in.Err(); err != nil {
		return ccstore.Owner{}, err
	}
	owner, err := ownerOf(c.conn.peer, name)
	if err != nil {
		return ccstore.Owner{}, err
	}
	f, err := c.find(owner, name)
	switch {
	case err == nil:
		return f.owner, nil
	case errors.Is(err, ccstore.ErrNoCache):
		return owner, nil
	}
	return ccstore.Owner{}, err
}

// own returns the caller's own collection.
func (c *call) own() ccstore.Owner {
	p := c.conn.peer
	return ccstore.Owner{Namespace: p.Namespace, UID: p.UID, Level: p.Level}
}

// collection returns the collection as it is now.
func (c *call) collection(owner ccstore.Owner) (*ccstore.Collection, error) {
	var col *ccstore.Collection
	err := c.conn.server.store.View(c.ctx, owner, func(now *ccstore.Collection) error {
		col = now
		return nil
	})
	return col, err
}
