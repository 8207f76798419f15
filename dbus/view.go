package dbus

import "kcmd.org/kcmd/ccstore"

// A view is what one caller gets to see.
type view struct {
	uid   uint32
	level string // SELinux level of the caller; "" where levels do not count
	all   bool   // every collection of that level, not only that of uid
}

// viewOf returns the view that a caller begins with.
func viewOf(uid uint32, level string) view {
	return view{uid: uid, level: level, all: uid == 0}
}

// mayView is the rule of visibility, and the only one: whether what belongs to
// owner exists for the caller.
func (v view) mayView(o ccstore.Owner) bool {
	return o.Level == v.level && o.Namespace == ccstore.DefaultNamespace && (v.all || v.uid == o.UID)
}

// mayViewUID reports whether the caller sees what it calls the collection of uid.
func (v view) mayViewUID(uid uint32) bool { return v.mayView(v.owner(uid)) }

// owner returns the owner in the store of what the caller calls the collection
// of uid: a uid has one at each level, and a caller sees that of its own level.
func (v view) owner(uid uint32) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid, Level: v.level}
}

// owners returns the owners in the store of what the caller calls the
// collections of those uids.
func (v view) owners(uids []uint32) []ccstore.Owner {
	var list []ccstore.Owner
	for _, uid := range uids {
		list = append(list, v.owner(uid))
	}
	return list
}

// seesCollection reports whether the object of c exists for the caller: its own
// always does, another one's while it holds something.
func (v view) seesCollection(c collection) bool {
	return v.mayView(c.Owner()) && (v.uid == c.uid() || c.Len() > 0)
}
