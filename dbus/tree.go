package dbus

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/uuid"

	"kcmd.org/kcmd/introspection"
)

// The tree:
//
//	/org/kcmd/KCM1                        Manager, ObjectManager
//	/org/kcmd/KCM1/user/UID               Collection
//	/org/kcmd/KCM1/user/UID/cache/UUID    Cache
//
// What lies between only lists what is below, for programs that walk the tree.
const (
	rootPath = "/org/kcmd/KCM1"
	userPath = rootPath + "/user"
)

func collectionPath(uid uint32) godbus.ObjectPath {
	return godbus.ObjectPath(userPath + "/" + strconv.FormatUint(uint64(uid), 10))
}

func cachePath(uid uint32, id uuid.UUID) godbus.ObjectPath {
	return collectionPath(uid) + "/cache/" + godbus.ObjectPath(pathElement(id))
}

// pathElement returns id as 32 digits: a path element has no dashes.
func pathElement(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

// A place is where in the tree a path points, whether anything is there or not.
type place struct {
	kind  kind
	uid   uint32    // from kindCollection on down
	cache uuid.UUID // kindCache
	below []string  // kindAbove: the way on to the manager
}

type kind int

const (
	kindAbove      kind = iota // above the manager
	kindManager                // /org/kcmd/KCM1
	kindUsers                  // /org/kcmd/KCM1/user
	kindCollection             // /org/kcmd/KCM1/user/UID
	kindCaches                 // /org/kcmd/KCM1/user/UID/cache
	kindCache                  // /org/kcmd/KCM1/user/UID/cache/UUID
)

// parsePath returns the place that path points to for a caller. It is false for
// paths that are none of ours or that v may not see. ".../user/self" stands for
// the caller's own.
func parsePath(path string, v view) (place, bool) {
	if below, ok := pathBelow(path); ok {
		return place{kind: kindAbove, below: below}, true
	}
	rest, ok := strings.CutPrefix(path, rootPath)
	if !ok {
		return place{}, false
	}
	parts := strings.Split(rest, "/")[1:]
	switch {
	case len(parts) == 0 && rest == "":
		return place{kind: kindManager}, true
	case len(parts) == 0 || parts[0] != "user" || len(parts) > 4 || len(parts) > 2 && parts[2] != "cache":
		return place{}, false
	case len(parts) == 1:
		return place{kind: kindUsers}, true
	}
	uid, ok := parseUID(parts[1])
	if parts[1] == "self" {
		uid, ok = v.uid, true
	}
	if !ok || !v.mayViewUID(uid) {
		return place{}, false
	}
	switch len(parts) {
	case 2:
		return place{kind: kindCollection, uid: uid}, true
	case 3:
		return place{kind: kindCaches, uid: uid}, true
	}
	id, ok := parsePathElement(parts[3])
	return place{kind: kindCache, uid: uid, cache: id}, ok
}

// pathBelow returns what is missing of the manager's path, if path is a true
// part of it.
func pathBelow(path string) (below []string, ok bool) {
	if path == "/" {
		path = ""
	}
	rest, ok := strings.CutPrefix(rootPath, path+"/")
	return strings.Split(rest, "/"), ok
}

// parseUID parses a uid in the one form that is canonical.
func parseUID(s string) (uint32, bool) {
	uid, err := strconv.ParseUint(s, 10, 32)
	return uint32(uid), err == nil && strconv.FormatUint(uid, 10) == s
}

// parsePathElement parses a UUID in the one form that paths have.
func parsePathElement(s string) (uuid.UUID, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(uuid.UUID{}) {
		return uuid.UUID{}, false
	}
	id := uuid.UUID(b)
	return id, pathElement(id) == s
}

// owners returns whose collections are looked at to tell what is at p.
func (p place) owners() []uint32 {
	if p.kind >= kindCollection {
		return []uint32{p.uid}
	}
	return nil
}

// An object is what is at a place.
type object interface {
	// properties returns the present values of all properties of the object's
	// own interface.
	properties(b *bus, c *call) map[string]any
}

// A branch is a place that only has children.
type branch struct{}

func (branch) properties(*bus, *call) map[string]any { return nil }

// resolve returns the object at p, if there is one in view of c. It is the only
// look-up of objects. b.mu is held.
func (b *bus) resolve(c *call, p place) (object, bool) {
	switch p.kind {
	case kindAbove, kindUsers:
		return branch{}, true
	case kindManager:
		return manager{}, true
	}
	collection, ok := b.collection(c, p.uid)
	if !ok || !c.view.seesCollection(collection) {
		return nil, false
	}
	switch p.kind {
	case kindCollection:
		return collection, true
	case kindCaches:
		return branch{}, collection.Len() > 0
	}
	one, err := collection.CacheByUUID(p.cache)
	if err != nil {
		return nil, false
	}
	return cache{one, collection}, true
}

// children returns the names right below p that c sees. b.mu is held.
func (b *bus) children(c *call, p place) []string {
	var names []string
	switch p.kind {
	case kindAbove:
		return p.below[:1]
	case kindManager:
		return []string{"user"}
	case kindUsers:
		for _, uid := range b.uidsInView(c) {
			names = append(names, strconv.FormatUint(uint64(uid), 10))
		}
		return names
	case kindCollection, kindCaches:
		collection, _ := b.collection(c, p.uid)
		if p.kind == kindCollection && collection.Len() > 0 {
			return []string{"cache"}
		}
		for _, one := range collection.Caches() {
			names = append(names, pathElement(one.UUID))
		}
	}
	return names
}

// An iface is an interface with what the service does for it.
type iface struct {
	*introspection.Interface
	methods map[string]method
}

// method returns what is to be done for c, of which member and arguments must
// be what the interface declares.
func (i *iface) method(c *call) (method, error) {
	declared, m := i.Method(c.member), i.methods[c.member]
	if declared == nil || m.run == nil && m.change == nil {
		return method{}, &fault{errUnknownMethod, fmt.Sprintf("interface %s has no method %q", i.Name, c.member)}
	}
	if in := declared.In(); c.signature != in {
		return method{}, invalidArgs("%s.%s takes arguments of type %q, not %q", i.Name, c.member, in, c.signature)
	}
	if c.refused != "" {
		return method{}, invalidArgs("%s.%s does not take this: %s", i.Name, c.member, c.refused)
	}
	return m, nil
}

// interfacesOf holds the interfaces of the objects of each kind, the own one
// last; all have Peer besides.
var interfacesOf map[kind][]*iface

// In a variable's declaration this would be a cycle: what answers for an
// interface looks here.
func init() {
	interfacesOf = map[kind][]*iface{
		kindAbove:      {introspectableInterface},
		kindManager:    {introspectableInterface, propertiesInterface, objectManagerInterface, managerInterface},
		kindUsers:      {introspectableInterface},
		kindCollection: {introspectableInterface, propertiesInterface, collectionInterface},
		kindCaches:     {introspectableInterface},
		kindCache:      {introspectableInterface, propertiesInterface, cacheInterface},
	}
}

// iface returns the interface of that name at p.
func (p place) iface(name string) (*iface, error) {
	for _, i := range interfacesOf[p.kind] {
		if i.Name == name {
			return i, nil
		}
	}
	return nil, &fault{errUnknownInterface, fmt.Sprintf("the object has no interface %q", name)}
}

// own returns the interface of ours at p.
func (p place) own() *iface {
	has := interfacesOf[p.kind]
	return has[len(has)-1]
}

// method returns what is to be done for c. A caller that names no interface gets
// the first one that has the method.
func (p place) method(c *call) (method, error) {
	if c.iface != "" {
		i, err := p.iface(c.iface)
		if err != nil {
			return method{}, err
		}
		return i.method(c)
	}
	for _, i := range append([]*iface{peerInterface}, interfacesOf[p.kind]...) {
		if i.Method(c.member) != nil {
			return i.method(c)
		}
	}
	return method{}, &fault{errUnknownMethod, fmt.Sprintf("the object has no method %q", c.member)}
}
