package dbus

import (
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/view"
)

// A reader computes an answer. See reading for the rules.
type reader func(*reading) ([]any, error)

// nothing is the reader of a request that only needs its object to exist.
func nothing(*reading) ([]any, error) { return nil, nil }

// read computes an answer, and calls done with it while b.mu is held, so that no
// signal is sent between the two. It fails if the object does not exist, or f does.
func (b *bus) read(q *request, f reader, done func(*reading)) error {
	for {
		r, again := b.tryRead(q, f, done)
		switch {
		case r.needsList:
			if err := q.list(); err != nil {
				return err
			}
		case again || !r.complete():
			q.load(r.needs)
		case r.err != nil:
			return r.err
		default:
			q.logFailures()
			return nil
		}
	}
}

// tryRead does what read does, if everything is in memory. again is that the
// caller has become a subscriber: it gets what is announced from now on, so what
// came since the owners were listed is not missed by another reading.
func (b *bus) tryRead(q *request, f reader, done func(*reading)) (r *reading, again bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r = b.consistent(q, f)
	if !r.complete() || r.err != nil {
		return r, false
	}
	if r.subscribing && b.subscribeImplicitly(r) {
		q.listed = false
		return r, true
	}
	if done != nil {
		done(r)
	}
	return r, false
}

// consistent computes an answer that is neither older than the call nor newer
// than the signals that the caller got. Pending changes are announced before
// their time only if the answer depends on them, so that a caller that polls does
// not end the gathering for everybody. b.mu is held.
func (b *bus) consistent(q *request, f reader) *reading {
	announced := q.read(f, false)
	if !announced.behind || !announced.complete() {
		return announced
	}
	latest := q.read(f, true)
	switch {
	case !latest.complete():
		return latest
	case latest.sameAs(announced):
		return announced
	}
	b.announce(latest.owners()...)
	b.announce(announced.owners()...)
	return q.read(f, false)
}

// read makes one reading. bus.mu is held.
func (q *request) read(f reader, latest bool) *reading {
	r := &reading{request: q, latest: latest, seen: make(map[ccstore.Owner]view.Collection)}
	if r.resolve() {
		r.results, r.err = f(r)
	} else {
		r.err = unknownObject
	}
	if len(q.failed) > 0 && len(r.seen) == 0 {
		r.err = q.failure() // not "there are no caches"
	}
	return r
}

// keep makes mirrors of the collections that were read and that a subscriber may
// now know. b.mu is held.
func (b *bus) keep(r *reading) {
	for o, c := range r.seen {
		_, mirrored := b.mirrors[o]
		_, after := b.pending.snapshots(o)
		if !mirrored && b.clients.want(o) && (after == nil || !r.latest && b.clients.hears(r.client, o)) {
			b.mirrors[o] = mirror{c, b.hold(o)} // q.load held it before the view
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

// logFailures logs the collections that an answer leaves out.
func (q *request) logFailures() {
	for o, err := range q.failed {
		q.bus.Logger.Error("cannot load a collection", "owner", o, "err", err)
	}
}
