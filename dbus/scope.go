package dbus

import (
	"slices"

	"kcmd.org/kcmd/ccstore"
)

// authorizeScope gives c the view that it asks for, if it may have that.
func authorizeScope(b *bus, c *call) error {
	switch scope := c.body[0].(string); {
	case scope == "own":
		c.view.all = false
	case scope != "all":
		return invalidArgs("scope %q is not known; allowed: own, all", text(scope))
	case b.Session:
		// There is nothing that the caller does not see.
	default:
		if err := b.authorize(c, actionInspectAll); err != nil {
			return err
		}
		c.view.all = true
	}
	return nil
}

// setScope makes the view of c that of its connection. A subscriber is told what
// comes into view and what goes out of it, so that what it knows is still what
// a fresh GetManagedObjects would tell.
func setScope(b *bus, c *call, _ object) ([]any, error) {
	was, is := b.peers.setView(c.from, c.view)
	if was == nil {
		return nil, nil
	}
	for _, one := range b.inView(c) {
		if is.covers(one.Owner()) && !was.covers(one.Owner()) {
			b.tellOne(is.recipient(c.sender), one.uid(), appearance(one))
		}
	}
	for _, one := range b.mirrorsInOrder() {
		if was.covers(one.Owner()) && !is.covers(one.Owner()) && was.view.seesCollection(one) {
			b.tellOne(was.recipient(c.sender), one.uid(), disappearance(one))
		}
	}
	return nil, nil
}

// mirrorsInOrder returns all mirrors. b.mu is held.
func (b *bus) mirrorsInOrder() []collection {
	var list []collection
	for _, one := range b.mirrors {
		list = append(list, one)
	}
	slices.SortFunc(list, func(x, y collection) int { return ccstore.Owner.Compare(x.Owner(), y.Owner()) })
	return list
}

// appearance returns what tells a client that c, another user's, is there.
func appearance(c collection) []signal {
	list := []signal{added(c.path(), collectionInterface, c.properties(nil, nil))}
	for _, one := range c.caches() {
		list = append(list, added(one.path(), cacheInterface, one.properties(nil, nil)))
	}
	return list
}

// disappearance returns what tells a client that c is not there any more.
func disappearance(c collection) []signal {
	var list []signal
	for _, one := range c.caches() {
		list = append(list, removed(one.path(), cacheInterface, everybody))
	}
	return append(list, removed(c.path(), collectionInterface, everybody))
}
