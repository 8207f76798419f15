package dbus

import (
	"cmp"
	"slices"
	"strings"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/introspection"
)

var managerInterface = &iface{introspection.Manager, map[string]method{
	"GetCollection":    {run: getCollection, needs: getCollectionNeeds},
	"ListCollections":  {prepare: findUIDs, run: listCollections},
	"FindCaches":       {run: findCaches, needs: all},
	"GetCache":         {run: getCache, needs: getCacheNeeds},
	"Subscribe":        {run: subscribe, needs: subscribeNeeds},
	"SubscribeProcess": {prepare: findProcess, run: subscribeProcess, needs: subscribeNeeds},
	"Unsubscribe":      {run: unsubscribe},
	"SetScope":         {prepare: authorizeScope, run: setScope, needs: all},
}}

// apiVersion counts up with each addition to the interfaces.
const apiVersion = 1

// manager is the object that everything begins at.
type manager struct{}

// properties returns the properties of the interface Manager.
func (manager) properties(b *bus, c *call) map[string]any {
	mode := "system"
	if b.Session {
		mode = "session"
	}
	return map[string]any{
		"Version":       text(b.Version),
		"ApiVersion":    uint32(apiVersion),
		"Mode":          mode,
		"Features":      []string{},
		"SocketPath":    text(b.SocketPath),
		"OwnCollection": collectionPath(c.view.uid),
		"Subscribed":    b.Session || b.peers.subscribed(c.from),
		"ExpiryWarning": uint32(b.ExpiryWarning.Seconds()),
	}
}

// ownUID is what stands for the caller's own uid in a call.
const ownUID = ^uint32(0)

// askedUID returns whose collection a caller asks for.
func (c *call) askedUID(uid uint32) uint32 {
	if uid == ownUID {
		return c.view.uid
	}
	return uid
}

// visible returns uid as what a method needs, if the caller may see it.
func (c *call) visible(uid uint32) ([]uint32, error) {
	if !c.view.mayViewUID(uid) {
		return nil, unknownObject
	}
	return []uint32{uid}, nil
}

func getCollectionNeeds(_ *bus, c *call) ([]uint32, error) {
	return c.visible(c.askedUID(c.body[0].(uint32)))
}

func getCollection(b *bus, c *call, _ object) ([]any, error) {
	uid := c.askedUID(c.body[0].(uint32))
	o, ok := b.resolve(c, place{kind: kindCollection, uid: uid})
	if !ok {
		return nil, unknownObject
	}
	return []any{o.(collection).path()}, nil
}

// A listedCollection is an element of what ListCollections returns.
type listedCollection struct {
	UID  uint32
	Path godbus.ObjectPath
}

func listCollections(b *bus, c *call, _ object) ([]any, error) {
	list := []listedCollection{}
	for _, uid := range b.uidsInView(c) {
		list = append(list, listedCollection{uid, collectionPath(uid)})
	}
	return []any{list}, nil
}

func findCaches(b *bus, c *call, _ object) ([]any, error) {
	wanted := c.body[0].(string)
	var found []cache
	for _, one := range b.inView(c) {
		for _, each := range one.caches() {
			if matches(each.Principal, wanted) {
				found = append(found, each)
			}
		}
	}
	slices.SortStableFunc(found, byExpiry)
	paths := []godbus.ObjectPath{}
	for _, each := range found {
		paths = append(paths, each.path())
	}
	return []any{paths}, nil
}

// byExpiry orders caches: default ones first, then by whose TGT ends last.
func byExpiry(a, b cache) int {
	if a.isDefault() != b.isDefault() {
		if a.isDefault() {
			return -1
		}
		return 1
	}
	return cmp.Compare(b.tgtEnd(), a.tgtEnd())
}

// matches reports whether p is what a caller of FindCaches looks for: a name as
// klist prints it, with or without realm; "" is any, "*@REALM" any of a realm.
func matches(p ccache.Principal, wanted string) bool {
	name := ccache.Principal{Components: p.Components}
	realm := ccache.Principal{Realm: p.Realm}
	return wanted == "" || wanted == principal(p) ||
		wanted == text(strings.TrimSuffix(name.String(), "@")) ||
		wanted == text("*"+realm.String())
}

// askedCache returns whose cache a name is, and its residual: the owner is what
// the name begins with, or else the caller.
func (c *call) askedCache() (uid uint32, residual string) {
	residual = strings.TrimPrefix(c.body[0].(string), "KCM:")
	first, _, _ := strings.Cut(residual, ":")
	if uid, ok := parseUID(first); ok {
		return uid, residual
	}
	return c.view.uid, residual
}

func getCacheNeeds(b *bus, c *call) ([]uint32, error) {
	uid, residual := c.askedCache()
	if _, err := uuid.Parse(residual); err == nil {
		return all(b, c) // it may be anybody's
	}
	return c.visible(uid)
}

func getCache(b *bus, c *call, _ object) ([]any, error) {
	uid, residual := c.askedCache()
	if one, ok := b.collection(c, uid); ok && c.view.mayViewUID(uid) {
		if residual == "" {
			residual = one.DefaultName()
		}
		if found, err := one.Cache(residual); err == nil {
			return []any{cache{found, one}.path()}, nil
		}
	}
	id, err := uuid.Parse(residual)
	if err != nil {
		return nil, unknownObject
	}
	for _, one := range b.inView(c) {
		if found, err := one.CacheByUUID(id); err == nil {
			return []any{cache{found, one}.path()}, nil
		}
	}
	return nil, unknownObject
}

// subscription returns the subscription that the options of c ask for.
func (c *call) subscription() (subscription, error) {
	sub := subscription{view: c.view, tickets: true}
	var path godbus.ObjectPath
	err := readOptions(c.body[len(c.body)-1], option{"ticket-signals", &sub.tickets}, option{"collection", &path})
	if err != nil || path == "" {
		return sub, err
	}
	where, ok := parsePath(string(path), c.view)
	if !ok || where.kind != kindCollection {
		return sub, unknownObject
	}
	sub.only = &where.uid
	return sub, nil
}

// subscribeNeeds is the collection that is subscribed to, or of all in view the
// caller's own: others follow when they are looked at, or change.
func subscribeNeeds(_ *bus, c *call) ([]uint32, error) {
	sub, err := c.subscription()
	if err != nil {
		return nil, err
	}
	if sub.only != nil {
		return []uint32{*sub.only}, nil
	}
	return []uint32{c.view.uid}, nil
}

// wantedSubscription returns the subscription that c asks for, of which the
// collection must be there. b.mu is held.
func (b *bus) wantedSubscription(c *call) (subscription, error) {
	sub, err := c.subscription()
	if err != nil {
		return sub, err
	}
	uid := c.view.uid
	if sub.only != nil {
		uid = *sub.only
	}
	// That it is looked at makes it a mirror, so that the subscriber is told of
	// what time changes in it.
	if _, ok := b.resolve(c, place{kind: kindCollection, uid: uid}); !ok {
		return sub, unknownObject
	}
	return sub, nil
}

func subscribe(b *bus, c *call, _ object) ([]any, error) {
	sub, err := b.wantedSubscription(c)
	if err != nil || b.Session {
		return nil, err
	}
	return nil, b.peers.subscribe(c.from, sub)
}

// findProcess asks the bus for the connections of the process. Only those of the
// caller's own uid count: a process of somebody else is like none at all.
func findProcess(b *bus, c *call) error {
	if _, err := c.subscription(); err != nil {
		return err
	}
	var end func()
	c.watch, end = b.peers.watchDepartures()
	c.atEnd = end
	names, err := b.connections(b.ctx, c.body[0].(uint32), c.view)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return &fault{errProcessUnknown, "that process has no connection of yours to the bus"}
	}
	c.found = names
	return nil
}

func subscribeProcess(b *bus, c *call, _ object) ([]any, error) {
	sub, err := b.wantedSubscription(c)
	if err != nil {
		return nil, err
	}
	if b.Session {
		return []any{uint32(len(c.found))}, nil
	}
	n, err := b.peers.subscribeNames(c.found, c.watch, sub)
	if err != nil {
		return nil, err
	}
	return []any{n}, nil
}

func unsubscribe(b *bus, c *call, _ object) ([]any, error) {
	b.peers.unsubscribe(c.from)
	return nil, nil
}
