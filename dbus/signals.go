package dbus

import (
	"maps"
	"reflect"
	"slices"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/introspection"
)

// A signal is a signal about one collection.
type signal struct {
	path    godbus.ObjectPath
	iface   string
	member  string
	body    []any
	tickets bool     // only for those who want ticket signals
	to      audience // which of those who see the collection
}

// audience tells apart the owner, for whom a collection always exists, and
// others, for whom it comes and goes.
type audience int

const (
	everybody audience = iota
	ownerOnly
	othersOnly
)

// reaches reports whether s, about the collection of uid, is for r.
func (s signal) reaches(r recipient, uid uint32) bool {
	return (r.tickets || !s.tickets) &&
		(s.to == everybody || (s.to == ownerOnly) == (r.view.uid == uid))
}

// signals returns what tells a client how before became after: objects come
// before anything mentions them, and go last.
func signals(before, after collection, ch *changes) []signal {
	var list []signal
	created, destroyed, kept := compareCaches(before, after)
	if before.Len() == 0 && after.Len() > 0 {
		s := added(after.path(), collectionInterface, after.properties(nil, nil))
		s.to = othersOnly
		list = append(list, s)
	}
	for _, one := range created {
		list = append(list, added(one.path(), cacheInterface, one.properties(nil, nil)))
	}
	for _, pair := range kept {
		list = appendChanged(list, pair[1].path(), cacheInterface, pair[0].properties(nil, nil), pair[1].properties(nil, nil), everybody)
	}
	list = append(list, ticketSignals(before, after, ch)...)
	// Whoever is told that the collection comes or goes is not told how it changes.
	to := everybody
	if (before.Len() == 0) != (after.Len() == 0) {
		to = ownerOnly
	}
	list = appendChanged(list, after.path(), collectionInterface, before.properties(nil, nil), after.properties(nil, nil), to)
	for _, one := range destroyed {
		list = append(list, removed(one.path(), cacheInterface, everybody))
	}
	if before.Len() > 0 && after.Len() == 0 {
		list = append(list, removed(after.path(), collectionInterface, othersOnly))
	}
	return list
}

// compareCaches returns which caches are new, which are gone, and of the others
// those that may read differently, each as it was and as it is. A cache that
// nobody changed is the same in both snapshots.
func compareCaches(before, after collection) (created, destroyed []cache, kept [][2]cache) {
	for _, is := range after.caches() {
		one, err := before.CacheByUUID(is.UUID)
		was := cache{one, before}
		switch {
		case err != nil:
			created = append(created, is)
		case one != is.Cache || was.isDefault() != is.isDefault() || was.state() != is.state():
			kept = append(kept, [2]cache{was, is})
		}
	}
	for _, was := range before.caches() {
		if _, err := after.CacheByUUID(was.UUID); err != nil {
			destroyed = append(destroyed, was)
		}
	}
	return created, destroyed, kept
}

func added(path godbus.ObjectPath, i *iface, properties map[string]any) signal {
	return signal{
		path: rootPath, iface: introspection.ObjectManager.Name, member: "InterfacesAdded",
		body: []any{path, interfaceProperties{i.Name: variants(properties)}},
	}
}

func removed(path godbus.ObjectPath, i *iface, to audience) signal {
	return signal{
		path: rootPath, iface: introspection.ObjectManager.Name, member: "InterfacesRemoved",
		body: []any{path, []string{i.Name}},
		to:   to,
	}
}

// appendChanged appends PropertiesChanged for those properties that differ and
// that are announced, if there are any.
func appendChanged(list []signal, path godbus.ObjectPath, i *iface, before, after map[string]any, to audience) []signal {
	changed := make(map[string]godbus.Variant)
	for _, p := range i.Properties {
		if p.EmitsChanged() == "true" && !reflect.DeepEqual(before[p.Name], after[p.Name]) {
			changed[p.Name] = godbus.MakeVariant(after[p.Name])
		}
	}
	if len(changed) == 0 {
		return list
	}
	return append(list, signal{
		path: path, iface: introspection.Properties.Name, member: "PropertiesChanged",
		body: []any{i.Name, changed, []string{}},
		to:   to,
	})
}

// maxTickets is how many tickets a signal lists.
const maxTickets = 256

// A removedTicket is an element of what TicketsRemoved lists.
type removedTicket struct {
	ID     string
	Server string
}

// cameAndWent are the tickets that a cache got and lost.
type cameAndWent struct {
	added   []map[string]godbus.Variant
	removed map[ccstore.Reason][]removedTicket
}

// ticketSignals returns TicketsRemoved and TicketsAdded. It looks at what the
// store said has changed, and at what became of it: a ticket that came and went
// is not worth a word. Of a cache that is gone nothing more is said.
func ticketSignals(before, after collection, ch *changes) []signal {
	byCache := make(map[uuid.UUID]*cameAndWent)
	for _, one := range ch.ticketChanges(before, after) {
		was := credentialIn(before, one)
		is := credentialIn(after, one)
		if _, err := after.CacheByUUID(one.Cache); err != nil || (was == nil) == (is == nil) {
			continue
		}
		t := byCache[one.Cache]
		if t == nil {
			t = &cameAndWent{removed: make(map[ccstore.Reason][]removedTicket)}
			byCache[one.Cache] = t
		}
		t.note(one, after)
	}
	var list []signal
	for _, one := range after.caches() {
		if t := byCache[one.UUID]; t != nil {
			list = append(list, t.signals(one.path())...)
		}
	}
	return list
}

// ticketChanges returns the tickets to look at: those that the store told of, or
// all where it did not tell of everything.
func (ch *changes) ticketChanges(before, after collection) []ccstore.Change {
	if ch == nil {
		return nil
	}
	if !ch.gap && before.Revision() >= ch.before.Revision() {
		return ch.tickets
	}
	list := appendTickets(nil, before, ccstore.Change{Kind: ccstore.CredentialRemoved, Reason: ccstore.Removed})
	return appendTickets(list, after, ccstore.Change{Kind: ccstore.CredentialAdded})
}

// appendTickets appends a change like that for each ticket in c.
func appendTickets(list []ccstore.Change, c collection, like ccstore.Change) []ccstore.Change {
	for _, one := range c.Caches() {
		for cred := range one.Credentials() {
			if !cred.IsConfig() {
				like.Cache, like.Credential = one.UUID, cred
				list = append(list, like)
			}
		}
	}
	return list
}

// credentialIn returns the credential of a change as it is in c, or nil.
func credentialIn(c collection, change ccstore.Change) *ccstore.Credential {
	one, err := c.CacheByUUID(change.Cache)
	if err != nil {
		return nil
	}
	cred, err := one.Credential(change.Credential.UUID)
	if err != nil {
		return nil
	}
	return cred
}

// note notes a change that lasted.
func (t *cameAndWent) note(one ccstore.Change, after collection) {
	switch one.Kind {
	case ccstore.CredentialAdded:
		if len(t.added) < maxTickets {
			in, _ := after.CacheByUUID(one.Cache)
			t.added = append(t.added, cache{in, after}.ticket(one.Credential))
		}
	case ccstore.CredentialRemoved:
		if list := t.removed[one.Reason]; len(list) < maxTickets {
			t.removed[one.Reason] = append(list, removedTicket{one.Credential.UUID.String(), principal(one.Credential.Server)})
		}
	}
}

func (t *cameAndWent) signals(path godbus.ObjectPath) []signal {
	var list []signal
	for _, reason := range slices.Sorted(maps.Keys(t.removed)) {
		list = append(list, signal{
			path: path, iface: cacheInterface.Name, member: "TicketsRemoved",
			body:    []any{t.removed[reason], string(reason)},
			tickets: true,
		})
	}
	if len(t.added) > 0 {
		list = append(list, signal{
			path: path, iface: cacheInterface.Name, member: "TicketsAdded",
			body:    []any{t.added},
			tickets: true,
		})
	}
	return list
}
