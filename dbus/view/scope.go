package view

import "kcmd.org/kcmd/ccstore"

// A Scope says which collections exist for a caller.
type Scope struct {
	UID   uint32
	Level string // SELinux level of the caller; "" where levels do not count
	All   bool   // every collection of that level, not only that of UID
}

// NewScope returns the scope of a new connection: root sees every collection of
// its level, everybody else their own.
func NewScope(uid uint32, level string) Scope {
	return Scope{UID: uid, Level: level, All: uid == 0}
}

// Covers is the rule of visibility, and the only one: it reports whether the
// collection of owner exists for the caller.
func (s Scope) Covers(o ccstore.Owner) bool {
	return o.Level == s.Level && o.Namespace == ccstore.DefaultNamespace && (s.All || s.UID == o.UID)
}

// CoversUID reports whether the caller sees the collection of uid.
func (s Scope) CoversUID(uid uint32) bool { return s.Covers(s.Owner(uid)) }

// Owner returns the owner of the collection that the caller sees under uid: a
// uid has one collection for each level, and a caller sees that of its own.
func (s Scope) Owner(uid uint32) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid, Level: s.Level}
}

// Sees reports whether the object of c exists for the caller: its own always
// does, another one while it holds a cache.
func (s Scope) Sees(c Collection) bool {
	return s.Covers(c.Owner()) && (s.UID == c.UID() || c.Len() > 0)
}
