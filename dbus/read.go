package dbus

import (
	"maps"
	"reflect"
	"slices"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/view"
)

// A reader computes an answer from a reading. It may run more than once, and has
// no effects but its results.
type reader func(*reading) ([]any, error)

// nothing is the reader of a request that only needs its object to exist.
func nothing(*reading) ([]any, error) { return nil, nil }

// A reading is a look at the collections of a request at one moment, taken while
// bus.mu is held. Computing from it needs no lock.
type reading struct {
	*request
	known   map[ccstore.Owner]view.Collection // as the caller knows them: a subscriber as they were announced, others as they are
	ahead   map[ccstore.Owner]view.Collection // as they are, where that is not announced to the caller yet
	unsaved []ccstore.Owner                   // in any scope, whose caches may differ from the list of stored owners

	// The object that is called, if it is a collection or a cache.
	collection view.Collection
	cache      view.Cache

	behind      bool            // a collection that is ahead was looked at
	needsList   bool            // the owners must be listed first
	needs       []ccstore.Owner // whose collections must be loaded first
	subscribing bool            // the caller becomes a subscriber by the answer

	results []any
	err     error
}

// A moment says what happens when a reading is taken, while bus.mu is held.
type moment struct {
	announce  bool // changes of the collections in memory are announced before
	subscribe bool // the caller becomes a subscriber to everything in its scope
}

// answer answers with what f reads: neither older than the call nor newer than the
// signals that the caller got before.
func (b *bus) answer(q *request, f reader) error {
	var m moment
	for {
		r := b.look(q, m)
		r.compute(f)
		switch {
		case !r.complete():
			m.announce = false
			if err := q.fetch(r); err != nil {
				return err
			}
		case r.err == nil && r.subscribing && !m.subscribe:
			m.subscribe = true
		case !m.announce && r.isBehind(f):
			m.announce = true
		case r.err != nil:
			return r.err
		default:
			q.Reply(r.results)
			return nil
		}
	}
}

// look takes a reading, and reserves the place of the answer in it.
func (b *bus) look(q *request, m moment) *reading {
	b.mu.Lock()
	defer b.mu.Unlock()
	if m.subscribe && b.subscribeImplicitly(q) {
		q.listed = false // who came since it was listed was not announced to the caller
	}
	if m.announce {
		b.announceHeld(q)
	}
	q.Reserve()
	return b.read(q)
}

// announceHeld announces the pending changes of the collections that q looked at.
// b.mu is held.
func (b *bus) announceHeld(q *request) {
	for o := range q.held {
		b.announce(o)
	}
}

// locked calls f with a reading that is complete, while b.mu is held. Nothing in
// it is ahead.
func (b *bus) locked(q *request, f func(*reading) error) error {
	for {
		b.mu.Lock()
		b.announceHeld(q)
		r := b.read(q)
		err := f(r)
		b.mu.Unlock()
		if r.complete() {
			return err
		}
		if err := q.fetch(r); err != nil {
			return err
		}
	}
}

// exists fails if the object that is called does not exist.
func (r *reading) exists() error {
	r.compute(nothing)
	return r.err
}

// read takes a reading. b.mu is held.
func (b *bus) read(q *request) *reading {
	r := &reading{request: q, known: make(map[ccstore.Owner]view.Collection), ahead: make(map[ccstore.Owner]view.Collection)}
	for o := range q.held {
		if err := b.readOne(r, o); err != nil {
			q.failed[o] = err
		}
	}
	if q.listed {
		r.unsaved = append(b.pending.owners(), slices.Collect(maps.Keys(b.mirrors))...)
	}
	return r
}

// readOne reads the collection of o, which gets a mirror if a subscriber may know
// it now. b.mu is held.
func (b *bus) readOne(r *reading, o ccstore.Owner) error {
	// Before the look at pending: a change is pending before it is visible.
	snapshot, err := b.store.Snapshot(b.ctx, o)
	if err != nil {
		return err
	}
	before, after := b.pending.snapshots(o)
	mirror, mirrored := b.mirrors[o]
	announced := after == nil || b.clients.hears(r.client, o)
	switch {
	case !announced:
		r.known[o] = b.view(after)
		return nil
	case mirrored:
		r.known[o] = mirror.Collection
	case after != nil:
		r.known[o] = b.view(before)
	default:
		r.known[o] = b.view(snapshot)
	}
	if after != nil {
		r.ahead[o] = b.view(after)
	}
	if !mirrored && b.clients.want(o) {
		b.keep(r.known[o])
	}
	return nil
}

// compute sets the results to those of f.
func (r *reading) compute(f reader) {
	if r.resolve() {
		r.results, r.err = f(r)
	} else {
		r.err = unknownObject
	}
	if len(r.failed) > 0 && len(r.known) == 0 {
		r.err = r.failure() // not "there are no caches"
	}
}

// isBehind reports whether f has other results where all is announced. Only then
// changes are announced before their time: a caller that polls does not end the
// gathering for everybody.
func (r *reading) isBehind(f reader) bool {
	if !r.behind {
		return false
	}
	now := &reading{request: r.request, known: maps.Clone(r.known), unsaved: r.unsaved}
	maps.Copy(now.known, r.ahead)
	now.compute(f)
	return !now.complete() || !reflect.DeepEqual(now.results, r.results) || !reflect.DeepEqual(now.err, r.err)
}

// look returns the collection of uid in the request's scope.
func (r *reading) look(uid uint32) (view.Collection, bool) {
	o := r.scope.Owner(uid)
	_, ahead := r.ahead[o]
	r.behind = r.behind || ahead
	c, ok := r.known[o]
	if !ok && r.failed[o] == nil {
		r.needs = append(r.needs, o)
	}
	return c, ok
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

// complete reports whether everything that was looked at was in memory.
func (r *reading) complete() bool { return !r.needsList && len(r.needs) == 0 }
