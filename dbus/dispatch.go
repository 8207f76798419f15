package dbus

import (
	"context"
	"fmt"
	"maps"
	"os"
	"runtime/debug"
	"slices"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/introspection"
)

// interfacesOf holds the interfaces of the objects of each kind, the one of
// kcmd's own last.
var interfacesOf map[view.Kind][]*iface

// In a variable's declaration this would be a cycle: the handlers of standard
// interfaces look here.
func init() {
	interfacesOf = map[view.Kind][]*iface{
		view.AtAncestor:   {peerInterface, introspectableInterface},
		view.AtLogControl: {peerInterface, introspectableInterface, propertiesInterface, logControlInterface},
		view.AtManager:    {peerInterface, introspectableInterface, propertiesInterface, objectManagerInterface, managerInterface},
		view.AtUsers:      {peerInterface, introspectableInterface},
		view.AtCollection: {peerInterface, introspectableInterface, propertiesInterface, collectionInterface},
		view.AtCaches:     {peerInterface, introspectableInterface},
		view.AtCache:      {peerInterface, introspectableInterface, propertiesInterface, cacheInterface},
	}
}

// declared returns every interface that an object has.
func declared() []*introspection.Interface {
	set := make(map[*introspection.Interface]bool)
	for _, has := range interfacesOf {
		for _, i := range has {
			set[i.Interface] = true
		}
	}
	return slices.Collect(maps.Keys(set))
}

// Serve implements link.Server: it answers a call, whatever happens.
func (b *bus) Serve(c *link.Call) {
	b.activity.begin()
	defer b.activity.end()
	b.serve(c, func() error { return b.serveCall(c) })
}

// serve answers a call by a function, which may fail.
func (b *bus) serve(c *link.Call, by func() error) {
	defer func() {
		if r := recover(); r != nil {
			b.Logger.Error("method panicked", "interface", c.Interface, "member", c.Member,
				"panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			c.Fail(busError(fmt.Errorf("%v", r)))
		}
	}()
	if err := by(); err != nil {
		b.Logger.Debug("call failed", "uid", c.From.Identity().UID, "interface", c.Interface, "member", c.Member, "err", err)
		c.Fail(busError(err))
	}
}

// Left implements link.Server.
func (b *bus) Left(p *link.Peer) {
	b.activity.touch()
	b.clients.remove(p)
}

// serveCall answers a call, unless it fails.
func (b *bus) serveCall(c *link.Call) error {
	one, scope, err := b.clients.meet(c.From, func() (view.Scope, error) { return b.scopeOf(c.From.Identity()) })
	if err != nil {
		return err
	}
	q := newRequest(b, c, one, scope)
	defer func() {
		if !q.waits {
			q.release()
		}
	}()
	if c.Interface == introspection.Peer.Name { // is about the process: the same at every path
		_, op, err := peerInterface.find(c)
		if err != nil {
			return err
		}
		return b.answer(q, op.answer)
	}
	var ok bool
	if q.place, ok = view.ParsePath(c.Path, scope); !ok {
		return unknownObject
	}
	if q.place.Kind >= view.AtCollection {
		q.load(q.owner())
	}
	m, op, err := find(q.place.Kind, c)
	if err != nil || op.answer == nil {
		// An error about the method is a secret too, unless the object is visible.
		if err := b.locked(q, (*reading).exists); err != nil {
			return err
		}
	}
	if err != nil {
		return err
	}
	return b.run(q, m, op)
}

// find returns the method that is called. A caller that names no interface gets
// the first one that has the method.
func find(kind view.Kind, c *link.Call) (method, operation, error) {
	for _, i := range interfacesOf[kind] {
		if i.Name == c.Interface || c.Interface == "" && i.Method(c.Member) != nil {
			return i.find(c)
		}
	}
	if c.Interface == "" {
		return method{}, operation{}, &fault{errUnknownMethod, fmt.Sprintf("the object has no method %q", c.Member)}
	}
	return method{}, operation{}, unknownInterface(c.Interface)
}

// run does what a call asks for, and answers it.
func (b *bus) run(q *request, m method, op operation) error {
	if err := b.permit(q, max(m.permission, op.permission)); err != nil {
		return err
	}
	switch {
	case op.answer != nil:
		return b.answer(q, op.answer)
	case op.change != nil:
		return b.change(q, op)
	case op.wait != nil:
		q.waits = true
		b.activity.begin()
		q.Later(func(ctx context.Context) { b.wait(ctx, q, op) })
		return nil
	}
	results, err := op.act(q)
	if err == nil {
		q.Reply(results)
	}
	return err
}

// wait runs a method that waits for a KDC, and answers it. A caller that gets signals of
// what it changed gets the answer after the signals.
func (b *bus) wait(ctx context.Context, q *request, op operation) {
	defer b.activity.end()
	defer q.release()
	b.serve(q.Call, func() error {
		results, err := op.wait(ctx, q)
		if ctx.Err() != nil {
			return ctx.Err() // nobody waits
		}
		b.announceTo(q)
		if err == nil {
			q.Reply(results)
		}
		return err
	})
}

// change runs a method in a transaction. A caller that gets signals of the change gets
// the answer after the signals.
func (b *bus) change(q *request, op operation) error {
	var result any
	err := b.store.Update(b.ctx, q.owner(), func(tx *ccstore.Tx) (err error) {
		result, err = op.change(q, tx)
		return err
	})
	if err != nil {
		return err
	}
	b.announceTo(q)
	if result == nil {
		q.Reply(nil)
	} else {
		q.Reply([]any{result})
	}
	return nil
}

// announceTo announces the change that a caller made, if it gets the signals, and
// reserves the place of the answer.
func (b *bus) announceTo(q *request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.clients.hears(q.client, q.owner()) {
		b.announce(q.owner())
	}
	q.Reserve()
}

// scopeOf returns the scope that a connection with those credentials begins with.
// A session bus is one user's, and shows nothing of anybody else's.
func (b *bus) scopeOf(of link.Identity) (view.Scope, error) {
	if b.Session && of.UID != uint32(os.Geteuid()) {
		return view.Scope{}, &fault{errAccessDenied, "the service belongs to another user"}
	}
	scope := view.NewScope(of.UID, "")
	if b.Session {
		scope.All = false
	}
	var err error
	if b.Level != nil {
		if scope.Level, err = b.Level(of.Label); err != nil {
			b.Logger.Debug("cannot determine a caller's level", "uid", of.UID, "label", view.Text(of.Label), "err", err)
			return scope, &fault{errAccessDenied, "your SELinux label has no level"}
		}
	}
	return scope, nil
}
