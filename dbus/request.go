package dbus

import (
	"maps"
	"reflect"
	"slices"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// A request is a call on its way through the service.
type request struct {
	*link.Call
	bus    *bus
	client *client
	scope  view.Scope
	place  view.Place // of the object that is called

	listed bool                     // stored is set
	stored []ccstore.Owner          // owners with a cache, in scope
	held   map[ccstore.Owner]func() // whose collections are in memory until the function is called
	failed map[ccstore.Owner]error  // whose collections cannot be loaded
}

func newRequest(b *bus, c *link.Call, of *client, scope view.Scope) *request {
	return &request{
		Call: c, bus: b, client: of, scope: scope,
		held: make(map[ccstore.Owner]func()), failed: make(map[ccstore.Owner]error),
	}
}

// release ends the request.
func (q *request) release() {
	for _, release := range q.held {
		release()
	}
}

// owner returns the owner of the object that is called.
func (q *request) owner() ccstore.Owner { return q.scope.Owner(q.place.UID) }

// list finds out the stored owners. It waits for the disk.
func (q *request) list() error {
	owners, err := q.bus.store.Owners(q.bus.ctx)
	if err != nil {
		return err
	}
	q.listed, q.stored = true, nil
	for _, o := range owners {
		if q.scope.Covers(o) {
			q.stored = append(q.stored, o)
		}
	}
	return nil
}

// load has collections in memory until the request ends. It waits for the disk.
func (q *request) load(owners []ccstore.Owner) {
	for _, o := range owners {
		if q.held[o] != nil {
			continue
		}
		release, err := q.bus.store.Hold(o)
		if err == nil {
			q.held[o] = release
			_, err = q.bus.store.Snapshot(q.bus.ctx, o)
		}
		if err != nil {
			q.failed[o] = err
		}
	}
}

// A reading is one look at the collections in a request's scope, while bus.mu is
// held. A handler that only reads gets one, and may get another: what it looks at
// is loaded between the two, without the lock. So it has no effects but its
// results.
type reading struct {
	*request
	latest bool // read pending changes too, also where the caller hears of them later

	// The object that is called, if it is a collection or a cache.
	collection view.Collection
	cache      view.Cache

	seen        map[ccstore.Owner]view.Collection
	behind      bool            // pending changes are left out, for the caller hears of them later
	needsList   bool            // the owners must be listed first
	needs       []ccstore.Owner // whose collections must be loaded first
	subscribing bool            // the caller becomes a subscriber by the answer

	results []any
	err     error
}

// look returns the collection of uid in the request's scope.
func (r *reading) look(uid uint32) (view.Collection, bool) {
	o := r.scope.Owner(uid)
	if c, ok := r.seen[o]; ok {
		return c, true
	}
	c, ok := r.read(o)
	if ok {
		r.seen[o] = c
	}
	return c, ok
}

// read returns the collection of o as the caller knows it: a subscriber as it
// was announced, everybody else as it is.
func (r *reading) read(o ccstore.Owner) (view.Collection, bool) {
	b := r.bus
	mirror, mirrored := b.mirrors[o]
	var snapshot *ccstore.Collection
	if !mirrored {
		// Before the look at pending: a change is pending before it is visible.
		if snapshot = r.snapshot(o); snapshot == nil {
			return view.Collection{}, false
		}
	}
	before, after := b.pending.snapshots(o)
	announced := !r.latest && b.clients.hears(r.client, o)
	r.behind = r.behind || announced && after != nil
	switch {
	case after != nil && !announced:
		return b.view(after), true
	case mirrored:
		return mirror.Collection, true
	case after != nil:
		return b.view(before), true
	}
	return b.view(snapshot), true
}

// snapshot returns a collection that is in memory. For one that is not it
// returns nil, and the reading is repeated once it is loaded.
func (r *reading) snapshot(o ccstore.Owner) *ccstore.Collection {
	if r.failed[o] != nil {
		return nil
	}
	if r.held[o] == nil {
		r.needs = append(r.needs, o)
		return nil
	}
	snapshot, err := r.bus.store.Snapshot(r.bus.ctx, o)
	if err != nil {
		r.failed[o] = err
		return nil
	}
	return snapshot
}

// sees returns the collection of uid if its object exists for the caller.
func (r *reading) sees(uid uint32) (view.Collection, bool) {
	if !r.scope.CoversUID(uid) {
		return view.Collection{}, false
	}
	c, ok := r.look(uid)
	return c, ok && r.scope.Sees(c)
}

// resolve looks up the object that is called. It reports whether that exists.
func (r *reading) resolve() (ok bool) {
	if r.place.Kind < view.AtCollection {
		return true
	}
	if r.collection, ok = r.sees(r.place.UID); !ok {
		return false
	}
	switch r.place.Kind {
	case view.AtCaches:
		return r.collection.Len() > 0
	case view.AtCache:
		var err error
		r.cache, err = r.collection.CacheByUUID(r.place.Cache)
		return err == nil
	}
	return true
}

// owners returns the owners whose collections were read.
func (r *reading) owners() []ccstore.Owner { return slices.Collect(maps.Keys(r.seen)) }

// complete reports whether everything that was looked at was in memory.
func (r *reading) complete() bool { return !r.needsList && len(r.needs) == 0 }

// sameAs reports whether two readings give the same answer.
func (r *reading) sameAs(other *reading) bool {
	return reflect.DeepEqual(r.results, other.results) && reflect.DeepEqual(r.err, other.err)
}
