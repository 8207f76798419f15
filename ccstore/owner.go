package ccstore

import (
	"cmp"
	"strconv"
)

// DefaultNamespace is the namespace of sockets that name no other one.
const DefaultNamespace = "default"

// An Owner is whom a collection belongs to.
type Owner struct {
	Namespace string // the set of collections behind one listening socket
	UID       uint32
	Level     string // low SELinux level of the uid's processes that share it; "" without SELinux
}

// String returns "1000", and what is not the default behind it: "1000 in
// NAMESPACE at LEVEL".
func (o Owner) String() string {
	s := strconv.FormatUint(uint64(o.UID), 10)
	if o.Namespace != DefaultNamespace {
		s += " in " + o.Namespace
	}
	if o.Level != "" {
		s += " at " + o.Level
	}
	return s
}

// Compare orders owners by namespace, then by uid, then by level.
func (o Owner) Compare(p Owner) int {
	return cmp.Or(cmp.Compare(o.Namespace, p.Namespace), cmp.Compare(o.UID, p.UID), cmp.Compare(o.Level, p.Level))
}
