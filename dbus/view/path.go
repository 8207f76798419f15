package view

import (
	"encoding/hex"
	"slices"
	"strconv"
	"strings"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/uuid"
)

// The tree of objects:
//
//	/org/kcmd/KCM1                        Manager, ObjectManager
//	/org/kcmd/KCM1/user/UID               Collection
//	/org/kcmd/KCM1/user/UID/cache/UUID    Cache
//	/org/freedesktop/LogControl1          LogControl1 of systemd
//
// The nodes between only list their children, for programs that walk the tree.
const (
	Root     = "/org/kcmd/KCM1"
	Users    = Root + "/user"
	selfPath = Users + "/self" // alias of the caller's own collection

	LogControl = "/org/freedesktop/LogControl1"
)

// A Path is an object path.
type Path = godbus.ObjectPath

// CollectionPath returns the path of the collection of uid.
func CollectionPath(uid uint32) Path {
	return Path(Users + "/" + strconv.FormatUint(uint64(uid), 10))
}

// CachePath returns the path of a cache of uid.
func CachePath(uid uint32, id uuid.UUID) Path {
	return CollectionPath(uid) + "/cache/" + Path(pathElement(id))
}

// pathElement returns id as 32 digits: a path element has no dashes.
func pathElement(id uuid.UUID) string { return hex.EncodeToString(id[:]) }

// A Place is a node of the tree, whether an object exists there or not.
type Place struct {
	Kind  Kind
	UID   uint32    // from AtCollection on down
	Cache uuid.UUID // AtCache
	Alias bool      // the path names the collection as "self"
	below []string  // AtAncestor: the names of its children
}

// Kind tells the kinds of places apart.
type Kind int

// The kinds of places, from the root down.
const (
	AtAncestor   Kind = iota // a true part of /org/kcmd/KCM1 or /org/freedesktop/LogControl1
	AtLogControl             // /org/freedesktop/LogControl1
	AtManager                // /org/kcmd/KCM1
	AtUsers                  // /org/kcmd/KCM1/user
	AtCollection             // /org/kcmd/KCM1/user/UID
	AtCaches                 // /org/kcmd/KCM1/user/UID/cache
	AtCache                  // /org/kcmd/KCM1/user/UID/cache/UUID
)

// ParsePath returns the place that a caller means by a path. It returns false
// for a path outside of the tree and for one that the caller's scope hides.
func ParsePath(path string, s Scope) (Place, bool) {
	if below := namesBelow(path); len(below) > 0 {
		return Place{Kind: AtAncestor, below: below}, true
	}
	if path == LogControl {
		return Place{Kind: AtLogControl}, true
	}
	rest, ok := strings.CutPrefix(path, Root)
	if !ok {
		return Place{}, false
	}
	parts := strings.Split(rest, "/")[1:]
	switch {
	case len(parts) == 0 && rest == "":
		return Place{Kind: AtManager}, true
	case len(parts) == 0 || parts[0] != "user" || len(parts) > 4 || len(parts) > 2 && parts[2] != "cache":
		return Place{}, false
	case len(parts) == 1:
		return Place{Kind: AtUsers}, true
	}
	p := Place{Alias: parts[1] == "self", UID: s.UID}
	if !p.Alias {
		p.UID, ok = ParseUID(parts[1])
	}
	if !ok || !s.CoversUID(p.UID) {
		return Place{}, false
	}
	switch len(parts) {
	case 2:
		p.Kind = AtCollection
	case 3:
		p.Kind = AtCaches
	case 4:
		p.Kind = AtCache
		p.Cache, ok = parsePathElement(parts[3])
	}
	return p, ok
}

// namesBelow returns the names right below path, if it is a true part of the path of the
// manager or of LogControl.
func namesBelow(path string) (names []string) {
	if path == "/" {
		path = ""
	}
	for _, object := range []string{Root, LogControl} {
		rest, ok := strings.CutPrefix(object, path+"/")
		name, _, _ := strings.Cut(rest, "/")
		if ok && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

// ParseUID parses a uid in its canonical form.
func ParseUID(s string) (uint32, bool) {
	uid, err := strconv.ParseUint(s, 10, 32)
	return uint32(uid), err == nil && strconv.FormatUint(uid, 10) == s
}

// parsePathElement parses a UUID in its canonical form in paths.
func parsePathElement(s string) (uuid.UUID, bool) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(uuid.UUID{}) {
		return uuid.UUID{}, false
	}
	id := uuid.UUID(b)
	return id, pathElement(id) == s
}

// Children returns the names of the nodes right below p. Those of AtUsers are
// not in it, and c is the collection that p is about.
func (p Place) Children(c Collection) (names []string) {
	switch {
	case p.Kind == AtAncestor:
		return p.below
	case p.Kind == AtManager:
		return []string{"user"}
	case p.Kind == AtCollection && c.Len() > 0:
		return []string{"cache"}
	case p.Kind == AtCaches:
		for _, cache := range c.Caches() {
			names = append(names, pathElement(cache.UUID))
		}
	}
	return names
}

// alias returns the path below /user/self of an object in the collection of uid.
func alias(path Path, uid uint32) (Path, bool) {
	rest, ok := strings.CutPrefix(string(path), string(CollectionPath(uid)))
	return Path(selfPath + rest), ok && (rest == "" || rest[0] == '/')
}
