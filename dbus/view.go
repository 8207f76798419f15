package dbus

import "os"

// A view is what one caller gets to see.
type view struct {
	uid uint32
	all bool // every collection, not only that of uid
}

// viewOf returns the view of a caller with that uid.
func viewOf(uid uint32) view { return view{uid: uid, all: uid == 0} }

// broadcastView is the view of whoever listens to a broadcast in session mode:
// a session bus lets in nobody but its user.
func broadcastView() view { return viewOf(uint32(os.Geteuid())) }

// mayView is the rule of visibility, and the only one: whether what belongs to
// owner exists for the caller.
func (v view) mayView(owner uint32) bool { return v.all || v.uid == owner }

// seesCollection reports whether the object of c exists for the caller: its own
// always does, another one's while it holds something.
func (v view) seesCollection(c collection) bool {
	return v.uid == c.uid() || v.all && c.Len() > 0
}
