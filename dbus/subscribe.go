package dbus

import (
	"maps"
	"slices"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// subscribeOptions are the options of Subscribe and SubscribeProcess.
type subscribeOptions struct {
	Tickets    bool      `option:"tickets"`
	Expiry     bool      `option:"expiry"`
	Both       bool      `option:"ticket-signals"` // of version 0.2.0
	Collection view.Path `option:"collection"`
}

// SetDefaults sets the values of options that are left out.
func (o *subscribeOptions) SetDefaults() { o.Tickets, o.Expiry, o.Both = true, true, true }

// allTopics are those of a subscriber that does not choose.
var allTopics = view.Topics{Tickets: true, Expiry: true}

func subscribe(q *request, in struct{ Options subscribeOptions }) ([]any, error) {
	sub, uid, err := q.subscription(in.Options)
	if err == nil {
		_, err = q.subscribePeers(sub, uid, q.From)
	}
	return nil, err
}

func subscribeProcess(q *request, in struct {
	PID     uint32
	Options subscribeOptions
}) ([]any, error) {
	sub, uid, err := q.subscription(in.Options)
	if err != nil {
		return nil, err
	}
	// Only those of the caller's own uid and level: a process of another is as
	// good as none.
	peers, err := q.bus.conn.OfProcess(in.PID, func(of link.Identity) bool {
		scope, err := q.bus.scopeOf(of)
		return err == nil && of.UID == q.scope.UID && scope.Level == q.scope.Level
	})
	if err != nil {
		return nil, err
	}
	if len(peers) == 0 {
		return nil, &fault{errProcessUnknown, "the process has no connection of your user to the bus"}
	}
	n, err := q.subscribePeers(sub, uid, peers...)
	return []any{n}, err
}

func unsubscribe(q *request, _ none) ([]any, error) {
	q.bus.clients.end(q.From)
	return nil, nil
}

// subscription returns the subscription that options ask for, and a collection in
// it that must exist.
func (q *request) subscription(o subscribeOptions) (sub subscription, uid uint32, err error) {
	sub = subscription{scope: q.scope, topics: view.Topics{Tickets: o.Tickets && o.Both, Expiry: o.Expiry && o.Both}}
	if o.Collection == "" {
		return sub, q.scope.UID, nil
	}
	place, ok := view.ParsePath(string(o.Collection), q.scope)
	if !ok || place.Kind != view.AtCollection {
		return sub, 0, unknownObject
	}
	sub.only, sub.alias = &place.UID, place.Alias
	return sub, place.UID, nil
}

// subscribePeers subscribes peers, and returns how many. Changes that are pending
// are announced before, to others. The collection of uid, which must exist, gets a
// mirror, so that the expiry of its TGTs is announced.
func (q *request) subscribePeers(sub subscription, uid uint32, peers ...*link.Peer) (n uint32, err error) {
	b := q.bus
	err = b.locked(q, func(r *reading) error {
		if _, ok := r.sees(uid); !ok {
			return unknownObject
		}
		b.announce(slices.DeleteFunc(b.pending.owners(), func(o ccstore.Owner) bool { return !sub.covers(o) })...)
		for _, p := range peers {
			if _, err := b.clients.subscribe(p, sub); err != nil {
				return err
			}
			n++
		}
		b.read(q) // makes the mirror
		return nil
	})
	return n, err
}

// subscribeImplicitly subscribes a caller that only reads to everything in its
// scope. It reports whether that is new. Where there is no room for one more, it
// does nothing. b.mu is held.
func (b *bus) subscribeImplicitly(q *request) (began bool) {
	if !b.clients.subscribed(q.client) {
		b.announceHeld(q) // to others
	}
	began, err := b.clients.subscribe(q.From, subscription{scope: q.scope, implicit: true, topics: allTopics, alias: q.place.Alias})
	if err != nil {
		b.Logger.Debug("caller is not subscribed", "uid", q.scope.UID, "err", err)
	}
	return began
}

// setScope sets which collections are in view of the caller. A subscriber gets
// signals for what comes into view and what goes out of it, so that what it knows
// is still the answer to GetManagedObjects.
func setScope(q *request, in struct{ Scope string }) ([]any, error) {
	wide := *q
	switch b := q.bus; {
	case in.Scope == "own":
		wide.scope.All = false
	case in.Scope != "all":
		return nil, invalidArgs("scope %q is not known; allowed: own, all", view.Text(in.Scope))
	case b.Session:
		// There is nothing that the caller does not see.
	default:
		if err := b.authorize(q, actionInspectAll); err != nil {
			return nil, err
		}
		wide.scope.All = true
	}
	wide.listed = false
	return nil, wide.applyScope(q.scope)
}

// applyScope makes the scope of q that of its connection.
func (q *request) applyScope(before view.Scope) error {
	b := q.bus
	b.clients.setScope(q.client, q.scope)
	if b.Session || !b.clients.subscribed(q.client) {
		return nil
	}
	err := b.locked(q, func(r *reading) error {
		if _, err := r.collections(); err != nil || !r.complete() {
			return err
		}
		b.announce(b.pending.owners()...) // to others
		b.read(q)                         // makes mirrors of what comes into view
		b.moveScope(q)
		return nil
	})
	if err != nil {
		b.clients.setScope(q.client, before)
	}
	return err
}

// moveScope makes the scope of q that of the signals of its connection. b.mu is
// held.
func (b *bus) moveScope(q *request) {
	before, after := b.clients.setSignalScope(q.client, q.scope)
	if before == nil {
		return
	}
	to := recipient{q.From, *after}
	inOrder := func(x, y mirror) int { return x.Owner().Compare(y.Owner()) }
	for _, m := range slices.SortedFunc(maps.Values(b.mirrors), inOrder) {
		switch was, is := before.covers(m.Owner()), after.covers(m.Owner()); {
		case is && !was && after.scope.Sees(m.Collection):
			b.send(view.Appearance(m.Collection), to)
		case was && !is && before.scope.Sees(m.Collection):
			b.send(view.Disappearance(m.Collection), to)
		}
	}
}
