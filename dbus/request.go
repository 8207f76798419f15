package dbus

import (
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
	waits  bool       // it is answered later

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

// fetch brings into memory what a reading lacked. It waits for the disk.
func (q *request) fetch(r *reading) error {
	if r.needsList {
		return q.list()
	}
	q.load(r.needs...)
	return nil
}

// list finds out the stored owners.
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

// load has collections in memory until the request ends.
func (q *request) load(owners ...ccstore.Owner) {
	for _, o := range owners {
		if q.held[o] != nil || q.failed[o] != nil {
			continue
		}
		release, err := q.bus.store.Hold(o)
		if err == nil {
			q.held[o] = release
			_, err = q.bus.store.Snapshot(q.bus.ctx, o)
		}
		if err != nil {
			q.failed[o] = err
			q.bus.Logger.Error("cannot load a collection", "owner", o, "err", err)
		}
	}
}

// failure returns why a collection cannot be loaded.
func (q *request) failure() error {
	for _, err := range q.failed {
		return err
	}
	return nil
}
