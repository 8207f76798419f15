package ccstore

import (
	"cmp"
	"fmt"
	"strconv"
)

// DefaultNamespace is the namespace of sockets that name no other one.
const DefaultNamespace = "default"

// An Owner is whom a collection belongs to.
type Owner struct {
	Namespace string // the set of collections behind one listening socket
	UID       uint32
}

// String returns "1000", or "1000 in NAMESPACE" outside the default one.
func (o Owner) String() string {
	if o.Namespace == DefaultNamespace {
		return strconv.FormatUint(uint64(o.UID), 10)
	}
	return fmt.Sprintf("%d in %s", o.UID, o.Namespace)
}

// Compare orders owners by namespace, then by uid.
func (o Owner) Compare(p Owner) int {
	return cmp.Or(cmp.Compare(o.Namespace, p.Namespace), cmp.Compare(o.UID, p.UID))
}
