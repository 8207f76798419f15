package view

import (
	"reflect"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/introspection"
)

// A Signal is a signal about one collection.
type Signal struct {
	Path      Path
	Interface string
	Member    string
	Body      []any

	uid   uint32 // whose collection it is about
	topic topic
	to    audience
}

// A topic is what a signal of the interface Cache is about. Other signals have none.
type topic int

const (
	aboutNone topic = iota
	aboutTickets
	aboutExpiry
)

// Topics are the topics that a subscriber wants.
type Topics struct {
	Tickets bool // which tickets a cache has
	Expiry  bool // the end and the renewal of its TGT
}

func (t Topics) include(about topic) bool {
	return about == aboutNone || about == aboutTickets && t.Tickets || about == aboutExpiry && t.Expiry
}

// An audience tells the owner, for whom a collection always exists, from others,
// for whom it comes and goes.
type audience int

const (
	everybody audience = iota
	ownerOnly
	othersOnly
)

// Reaches reports whether s is for a subscriber that sees its collection.
func (s Signal) Reaches(subscriber uint32, wanted Topics) bool {
	return wanted.include(s.topic) &&
		(s.to == everybody || (s.to == ownerOnly) == (subscriber == s.uid))
}

// Alias returns s as an object below /user/self sends it to its owner. It returns
// false if the object has no such path.
func (s Signal) Alias(subscriber uint32) (Signal, bool) {
	path, ok := alias(s.Path, s.uid)
	s.Path = path
	return s, ok && subscriber == s.uid
}

// Diff returns the signals that announce how before became after. An object is
// added before a signal mentions it, and removed last. Of the changes of the
// store, it uses those of tickets.
func Diff(before, after Collection, changes []ccstore.Change) []Signal {
	var list []Signal
	created, destroyed, kept := compareCaches(before, after)
	if before.Len() == 0 && after.Len() > 0 {
		list = append(list, after.added(othersOnly))
	}
	for _, cache := range created {
		list = append(list, cache.added())
	}
	for _, pair := range kept {
		list = append(list, changed(pair[1].Path(), introspection.Cache, pair[0].Properties(), pair[1].Properties())...)
	}
	list = append(list, ticketSignals(before, after, changes)...)
	// Those for whom the collection comes or goes need no change of it.
	of := changed(after.Path(), introspection.Collection, before.Properties(), after.Properties())
	for _, s := range of {
		if (before.Len() == 0) != (after.Len() == 0) {
			s.to = ownerOnly
		}
		list = append(list, s)
	}
	for _, cache := range destroyed {
		list = append(list, cache.removed())
	}
	if before.Len() > 0 && after.Len() == 0 {
		list = append(list, after.removed(othersOnly))
	}
	for i := range list {
		list[i].uid = after.UID()
	}
	return list
}

// compareCaches returns the new caches, the destroyed ones, and pairs of the
// others where a property may differ. An unchanged cache is the same in both
// snapshots.
func compareCaches(before, after Collection) (created, destroyed []Cache, kept [][2]Cache) {
	for _, now := range after.Caches() {
		was, err := before.CacheByUUID(now.UUID)
		switch {
		case err != nil:
			created = append(created, now)
		case was.Cache != now.Cache || was.in.terms != now.in.terms || was.IsDefault() != now.IsDefault() || was.state() != now.state():
			kept = append(kept, [2]Cache{was, now})
		}
	}
	for _, was := range before.Caches() {
		if _, err := after.CacheByUUID(was.UUID); err != nil {
			destroyed = append(destroyed, was)
		}
	}
	return created, destroyed, kept
}

// Appearance returns the signals that add c, another user's collection.
func Appearance(c Collection) []Signal {
	list := []Signal{c.added(everybody)}
	for _, cache := range c.Caches() {
		list = append(list, cache.added())
	}
	return list
}

// Disappearance returns the signals that remove c, another user's collection.
func Disappearance(c Collection) []Signal {
	var list []Signal
	for _, cache := range c.Caches() {
		list = append(list, cache.removed())
	}
	return append(list, c.removed(everybody))
}

func (c Collection) added(to audience) Signal {
	return added(c.Path(), introspection.Collection, c.Properties(), to)
}

func (c Collection) removed(to audience) Signal {
	return removed(c.Path(), introspection.Collection, to)
}

func (c Cache) added() Signal {
	return added(c.Path(), introspection.Cache, c.Properties(), everybody)
}

func (c Cache) removed() Signal { return removed(c.Path(), introspection.Cache, everybody) }

// Interfaces holds the interfaces of an object with their properties, as
// ObjectManager has them.
type Interfaces = map[string]Dict

func added(path Path, i *introspection.Interface, properties map[string]any, to audience) Signal {
	return objectSignal("InterfacesAdded", path, Interfaces{i.Name: Variants(properties)}, to)
}

func removed(path Path, i *introspection.Interface, to audience) Signal {
	return objectSignal("InterfacesRemoved", path, []string{i.Name}, to)
}

func objectSignal(member string, path Path, interfaces any, to audience) Signal {
	return Signal{Path: Root, Interface: introspection.ObjectManager.Name, Member: member, Body: []any{path, interfaces}, to: to}
}

// ManagerChanged returns the signal that announces what properties of the manager became,
// or nothing.
func ManagerChanged(before, after map[string]any) []Signal {
	return changed(Root, introspection.Manager, before, after)
}

// changed returns PropertiesChanged for the announced properties that differ, or
// nothing if none does.
func changed(path Path, i *introspection.Interface, before, after map[string]any) []Signal {
	values := make(map[string]any)
	for _, p := range i.Properties {
		if p.EmitsChanged() == "true" && !reflect.DeepEqual(before[p.Name], after[p.Name]) {
			values[p.Name] = after[p.Name]
		}
	}
	if len(values) == 0 {
		return nil
	}
	return []Signal{{Path: path, Interface: introspection.Properties.Name, Member: "PropertiesChanged",
		Body: []any{i.Name, Variants(values), []string{}}}}
}
