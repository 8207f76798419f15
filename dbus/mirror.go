package dbus

import (
	"context"
	"maps"
	"slices"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
)

// A collection is what the service says of the caches of one owner: a snapshot
// of the store, as it reads at a moment. Nothing in it changes, so that what was
// announced can be compared with what is to be announced next.
//
// A collection that subscribers may know of is kept as its mirror, and answers
// come from there: it only ever changes together with the signals that say so.
// Other collections are read from the store by each call.
type collection struct {
	*ccstore.Collection
	at      int64 // seconds since 1970: states are as of then
	warning int64 // seconds: Config.ExpiryWarning
	next    int64 // of a mirror: when it reads differently by itself, 0 for never
}

func (b *bus) newCollection(snapshot *ccstore.Collection) collection {
	return collection{Collection: snapshot, at: b.Now().Unix(), warning: int64(b.ExpiryWarning.Seconds())}
}

func (c collection) uid() uint32             { return c.Owner().UID }
func (c collection) path() godbus.ObjectPath { return collectionPath(c.uid()) }

// caches returns the caches of c, the default one first.
func (c collection) caches() []cache {
	var list []cache
	for _, one := range c.Caches() {
		list = append(list, cache{one, c})
	}
	return list
}

// owner returns the owner in the store of what is shown of a user.
func owner(uid uint32) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid}
}

// load has the store load a collection, so that looking at it under the lock
// does not wait for the disk.
func (b *bus) load(ctx context.Context, uid uint32) error {
	return b.store.View(ctx, owner(uid), func(*ccstore.Collection) error { return nil })
}

// owners returns everybody who has something stored, and own.
func (b *bus) owners(ctx context.Context, own uint32) ([]uint32, error) {
	stored, err := b.store.Owners(ctx)
	if err != nil {
		return nil, err
	}
	uids := []uint32{own}
	for _, o := range stored {
		if o.Namespace == ccstore.DefaultNamespace && o.UID != own {
			uids = append(uids, o.UID)
		}
	}
	return uids, nil
}

// collection returns the collection of uid: as it was announced, or else as it
// is. A call that asks twice gets the same. b.mu is held.
func (b *bus) collection(c *call, uid uint32) (collection, bool) {
	if one, ok := c.read[uid]; ok {
		return one, true
	}
	one, ok := b.mirrors[uid]
	if !ok {
		err := b.store.View(b.ctx, owner(uid), func(snapshot *ccstore.Collection) error {
			one = b.newCollection(snapshot)
			return nil
		})
		if err != nil {
			b.Logger.Error("cannot load a collection", "uid", uid, "err", err)
			return collection{}, false
		}
	}
	c.read[uid] = one
	return one, true
}

// inView returns the collections that c sees, by uid, of those who were made
// ready and those who changed something since. b.mu is held.
func (b *bus) inView(c *call) []collection {
	uids := make(map[uint32]bool)
	for _, uid := range c.uids {
		uids[uid] = true
	}
	if c.view.all {
		b.pending.addSeen(uids)
	}
	var list []collection
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		if one, ok := b.collection(c, uid); ok && c.view.seesCollection(one) {
			list = append(list, one)
		}
	}
	return list
}

// keep makes mirrors of what c has read and a subscriber may know of. b.mu is held.
func (b *bus) keep(c *call) {
	for uid, one := range c.read {
		if _, ok := b.mirrors[uid]; !ok && b.wanted(uid) {
			b.setMirror(one)
			notify(b.rearm)
		}
	}
}

// setMirror makes c the mirror of its owner's collection. b.mu is held.
func (b *bus) setMirror(c collection) {
	c.next = c.nextChange()
	b.mirrors[c.uid()] = c
}

// mirrorBroadcast makes the mirror of what is broadcast without anybody asking.
func (b *bus) mirrorBroadcast() {
	if !b.Session {
		return
	}
	c := &call{view: broadcastView(), read: make(map[uint32]collection)}
	if err := b.makeReady(c, []uint32{c.view.uid}); err != nil {
		b.Logger.Error("cannot load the collection", "err", err)
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.collection(c, c.view.uid)
	b.keep(c)
}

// settle waits until the changes to those collections that are made by now are
// announced, where anybody is told of them.
func (b *bus) settle(ctx context.Context, uids []uint32) error {
	done := b.pending.awaits(func(changed map[uint32]*changes) bool {
		return slices.ContainsFunc(uids, func(uid uint32) bool { return changed[uid] != nil && b.wanted(uid) })
	})
	if done == nil {
		return nil
	}
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
