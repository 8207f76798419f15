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
	limits  Limits

	// Of a mirror:
	next int64    // when it reads differently by itself, 0 for never
	told expiries // what was said of its TGTs; see expiry.go

	// since is the order of the last subscription that was there before the
	// mirror, unless that was told all that the mirror says; see announce.go.
	since uint64
}

func (b *bus) newCollection(snapshot *ccstore.Collection) collection {
	return collection{
		Collection: snapshot,
		at:         b.Clock.Now().Unix(),
		warning:    int64(b.ExpiryWarning.Seconds()),
		limits:     b.Limits,
	}
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

// load has the store load a collection, so that looking at it under the lock
// does not wait for the disk.
func (b *bus) load(ctx context.Context, o ccstore.Owner) error {
	_, err := b.store.Snapshot(ctx, o)
	return err
}

// owners returns whoever v sees that has something stored, and v's own uid.
func (b *bus) owners(ctx context.Context, v view) ([]uint32, error) {
	stored, err := b.store.Owners(ctx)
	if err != nil {
		return nil, err
	}
	uids := []uint32{v.uid}
	for _, o := range stored {
		if v.mayView(o) && o.UID != v.uid {
			uids = append(uids, o.UID)
		}
	}
	return uids, nil
}

// collection returns what c calls the collection of uid: as it was announced, or
// else as it is. A call that asks twice gets the same. b.mu is held.
func (b *bus) collection(c *call, uid uint32) (collection, bool) {
	o := c.view.owner(uid)
	if one, ok := c.read[o]; ok {
		return one, true
	}
	one, ok := b.mirrors[o]
	if !ok {
		snapshot, err := b.store.Snapshot(b.ctx, o)
		if err != nil {
			b.Logger.Error("cannot load a collection", "owner", o, "err", err)
			return collection{}, false
		}
		one = b.newCollection(snapshot)
	}
	c.read[o] = one
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
		b.pending.addSeen(c.view, uids)
	}
	var list []collection
	for _, uid := range slices.Sorted(maps.Keys(uids)) {
		if one, ok := b.collection(c, uid); ok && c.view.seesCollection(one) {
			list = append(list, one)
		}
	}
	return list
}

// findUIDs finds out who is in view of c, for uidsInView. It is for
// method.prepare.
func findUIDs(b *bus, c *call) error {
	uids, err := b.owners(b.ctx, c.view)
	if err != nil {
		return err
	}
	c.uids = uids
	return b.settle(b.ctx, c.view.owners(uids))
}

// uidsInView returns the uids whose collections c sees, as inView does. Only those
// are looked at of which more is known than that something is stored: a machine
// may have thousands. b.mu is held.
func (b *bus) uidsInView(c *call) []uint32 {
	stored, changed := make(map[uint32]bool), make(map[uint32]bool)
	for _, uid := range c.uids {
		stored[uid] = true
	}
	if c.view.all {
		b.pending.addSeen(c.view, changed)
	}
	for o := range b.mirrors {
		if c.view.mayView(o) {
			changed[o.UID] = true
		}
	}
	for uid := range changed {
		one, ok := b.collection(c, uid)
		stored[uid] = ok && c.view.seesCollection(one)
	}
	return slices.Sorted(func(yield func(uint32) bool) {
		for uid, seen := range stored {
			if seen && !yield(uid) {
				return
			}
		}
	})
}

// keep makes mirrors of what c has read and a subscriber may know of. b.mu is held.
func (b *bus) keep(c *call) {
	for o, one := range c.read {
		if _, ok := b.mirrors[o]; !ok && b.wanted(o) {
			one.since = c.since
			b.setMirror(one)
			notify(b.rearm)
		}
	}
}

// settleRest makes sure, before c reads under the lock, that it reads neither
// less nor more than has been announced: what settle did not wait for because
// nobody needs it any more, or because it came after. b.mu is held.
func (b *bus) settleRest(c *call) {
	for _, o := range c.view.owners(c.uids) {
		if _, ok := b.mirrors[o]; ok && !b.wanted(o) {
			delete(b.mirrors, o)
		}
	}
	// Without a mirror c will read what the store shows by now.
	if b.pending.awaits(func(changed map[ccstore.Owner]*changes) bool { return b.unmirrored(c.view, changed) }) != nil {
		b.announceBatch()
	}
	c.since = b.peers.lastOrder()
}

// unmirrored reports whether somebody is to be told of a change that v sees, to
// a collection that has no mirror. b.mu is held.
func (b *bus) unmirrored(v view, changed map[ccstore.Owner]*changes) bool {
	for o := range changed {
		if _, ok := b.mirrors[o]; !ok && v.mayView(o) && b.wanted(o) {
			return true
		}
	}
	return false
}

// setMirror makes c the mirror of its owner's collection. b.mu is held.
func (b *bus) setMirror(c collection) {
	c.next = c.nextChange()
	b.mirrors[c.Owner()] = c
}

// mirrorBroadcast makes the mirror of what is broadcast without anybody asking.
func (b *bus) mirrorBroadcast() error {
	if !b.Session {
		return nil
	}
	var err error
	if b.self, err = b.ownView(); err != nil {
		return err
	}
	c := &call{view: b.self, read: make(map[ccstore.Owner]collection)}
	if err := b.makeReady(c, []uint32{c.view.uid}); err != nil {
		b.Logger.Error("cannot load the collection", "err", err)
		return nil
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.collection(c, c.view.uid)
	b.keep(c)
	return nil
}

// settle waits until the changes to those collections that are made by now are
// announced, where anybody is told of them.
func (b *bus) settle(ctx context.Context, owners []ccstore.Owner) error {
	done := b.pending.awaits(func(changed map[ccstore.Owner]*changes) bool {
		return slices.ContainsFunc(owners, func(o ccstore.Owner) bool { return changed[o] != nil && b.wanted(o) })
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
