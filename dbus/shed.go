package dbus

import (
	"cmp"
	"slices"

	"kcmd.org/kcmd/ccstore"
)

// The collections that subscribers know stay in memory, whereas the store drops others
// at the limit of budget.Limits.Collections. So at that limit subscriptions end: first
// those of users to their own collections, the largest first, then those of
// administrators.

// shed ends subscriptions until the collections that subscribers know are within the
// limit. b.mu is held.
func (b *bus) shed() {
	if b.overfull() {
		b.endLargest(true)
	}
	if b.overfull() {
		b.endLargest(false)
	}
}

func (b *bus) overfull() bool {
	limit := b.mostKnown.Load()
	return !b.Session && limit > 0 && b.mirrored > limit
}

// endLargest ends subscriptions to the largest collections, with own only where all
// are of their user.
func (b *bus) endLargest(own bool) {
	owners := make([]ccstore.Owner, 0, len(b.mirrors))
	for o := range b.mirrors {
		owners = append(owners, o)
	}
	slices.SortFunc(owners, func(x, y ccstore.Owner) int {
		return cmp.Compare(b.mirrors[y].size, b.mirrors[x].size)
	})
	for _, o := range owners {
		if !b.overfull() {
			return
		}
		if b.clients.endAll(o, own) {
			b.shedding.Info("the collections of subscribers take too much memory; ended the subscriptions to the largest",
				"uid", o.UID, "bytes", b.mirrored, "limit", b.mostKnown.Load())
			b.forget(b.clients.want)
		}
	}
}

// setMirror makes or replaces a mirror. b.mu is held.
func (b *bus) setMirror(m mirror) {
	m.size = m.Size()
	b.mirrored += m.size - b.mirrors[m.Owner()].size
	b.mirrors[m.Owner()] = m
	if b.overfull() {
		b.pending.begin() // shed runs at its end
	}
}
