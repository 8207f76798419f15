package link

import (
	"context"
	"maps"
	"slices"

	"kcmd.org/kcmd/dbus/client"
)

// A follower has the caches of a kcmd as the events so far left them.
type follower struct {
	c       *client.Client
	own     client.ObjectPath
	manager client.Manager
	caches  map[client.ObjectPath]*Cache
	order   client.Collection
	changed func(State)
}

// follow follows kcmd until it leaves the bus.
func follow(ctx context.Context, c *client.Client, changed func(State)) error {
	f := &follower{c: c, changed: changed}
	for e, err := range c.Events(ctx, func() error { return f.read(ctx) }) {
		if err == nil {
			err = f.event(e)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// read subscribes to the collection of the user and reads it.
func (f *follower) read(ctx context.Context) error {
	own, err := f.c.GetCollection(ctx, client.Own)
	if err != nil {
		return err
	}
	// Root is to see its own caches only.
	if err := f.c.SetScope(ctx, "own"); err != nil {
		return err
	}
	if err := f.c.Subscribe(ctx, client.SubscribeOptions{Collection: own}); err != nil {
		return err
	}
	m, err := f.c.GetManager(ctx)
	if err != nil {
		return err
	}
	objects, err := f.c.GetManagedObjects(ctx)
	if err != nil {
		return err
	}
	f.own, f.manager, f.caches, f.order = own, *m, make(map[client.ObjectPath]*Cache), client.Collection{}
	if c := objects.Collections[own]; c != nil {
		f.order = *c
	}
	for path, c := range objects.Caches {
		if c.Collection == own {
			f.caches[path] = &Cache{Cache: *c, Path: path}
		}
	}
	f.tell(nil)
	return nil
}

// event applies an event and tells the state.
func (f *follower) event(e client.Event) error {
	switch e := e.(type) {
	case client.Added:
		if e.Cache == nil || e.Cache.Collection != f.own {
			return nil
		}
		f.caches[e.Object] = &Cache{Cache: *e.Cache, Path: e.Object}
	case client.Removed:
		delete(f.caches, e.Object)
	case client.Changed:
		if err := f.change(e); err != nil {
			return err
		}
	case client.RenewalFailed:
		if c := f.caches[e.Cache]; c != nil {
			c.Message = e.Message
		}
	case client.SignInWanted:
		f.tell(&e)
		return nil
	default:
		return nil
	}
	f.tell(nil)
	return nil
}

func (f *follower) change(e client.Changed) error {
	switch c := f.caches[e.Object]; {
	case c != nil:
		next := *c
		if err := e.Apply(&next.Cache); err != nil {
			return err
		}
		f.caches[e.Object] = &next
	case e.Object == f.own:
		return e.Apply(&f.order)
	case e.Object == client.ManagerPath:
		return e.Apply(&f.manager)
	}
	return nil
}

// tell tells the state, with the caches in the order of the collection.
func (f *follower) tell(wanted *client.SignInWanted) {
	s := State{Client: f.c, Own: f.own, Features: f.manager.Features, Wanted: wanted}
	rest := maps.Clone(f.caches)
	for _, path := range f.order.Caches {
		if c := rest[path]; c != nil {
			s.Caches = append(s.Caches, *c)
			delete(rest, path)
		}
	}
	for _, path := range slices.Sorted(maps.Keys(rest)) {
		s.Caches = append(s.Caches, *rest[path])
	}
	f.changed(s)
}
