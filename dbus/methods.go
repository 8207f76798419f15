package dbus

import (
	"context"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/introspection"
)

// An iface is an interface and what the service does for it.
type iface struct {
	*introspection.Interface
	properties func(*reading) map[string]any // nil: it has none
	methods    methods
	writers    map[string]writer // of writable properties
	setters    map[string]setter // of writable properties of the service, with type "s"
}

// A setter sets a property of the service itself.
type setter func(q *request, value string) error

// A writer sets a property of an object of the interface.
type writer struct {
	signature string
	write     func(q *request, tx *ccstore.Tx, value any) error
}

// methods are the rows of an interface, by the name of the method.
type methods map[string]method

// A method has the permission that a call needs and its handler. The types of the
// arguments are the fields of the handler's last parameter; see package link.
type method struct {
	permission permission
	decode     handler
}

// A permission is what a caller needs besides that it sees the object.
type permission int

const (
	visible permission = iota // nothing
	inspect                   // to see the collections of all, or to be authorized; see permission.go
	manage                    // to own the object, or to be authorized
)

// A handler decodes arguments and returns the work, of one of four kinds.
type handler func(body []any) (operation, error)

// An operation is a handler with its arguments. One of its four functions is set.
type operation struct {
	answer reader                                            // reads collections
	change func(*request, *ccstore.Tx) (result any, _ error) // changes the collection of its object
	act    func(*request) ([]any, error)                     // changes the caller's connection
	wait   func(context.Context, *request) ([]any, error)    // waits for a KDC

	permission permission // besides that of the method
}

// answers returns the handler of a method that only reads.
func answers[In any](f func(*reading, In) ([]any, error)) handler {
	return newHandler(func(in In) operation {
		return operation{answer: func(r *reading) ([]any, error) { return f(r, in) }}
	})
}

// changing returns the handler of a method that changes the collection of its
// object. It has one result, or nil for none.
func changing[In any](f func(*request, *ccstore.Tx, In) (any, error)) handler {
	return newHandler(func(in In) operation {
		return operation{change: func(q *request, tx *ccstore.Tx) (any, error) { return f(q, tx, in) }}
	})
}

// changingCache returns the handler of a method that changes the cache that is
// its object.
func changingCache[In any](f func(*ccstore.Tx, *ccstore.Cache, In) (any, error)) handler {
	return changing(func(q *request, tx *ccstore.Tx, in In) (any, error) {
		cache, err := tx.CacheByUUID(q.place.Cache)
		if err != nil {
			return nil, err
		}
		return f(tx, cache, in)
	})
}

// acting returns the handler of a method that changes the caller's connection. It
// runs without the lock.
func acting[In any](f func(*request, In) ([]any, error)) handler {
	return newHandler(func(in In) operation {
		return operation{act: func(q *request) ([]any, error) { return f(q, in) }}
	})
}

// waiting returns the handler of a method that waits for a KDC. Later calls of the
// caller are served meanwhile. The caller gets the signals of what it changed before the
// answer.
func waiting[In any](f func(context.Context, *request, In) ([]any, error)) handler {
	return newHandler(func(in In) operation {
		return operation{wait: func(ctx context.Context, q *request) ([]any, error) { return f(ctx, q, in) }}
	})
}

func newHandler[In any](bind func(In) operation) handler {
	return func(body []any) (operation, error) {
		var in In
		if err := link.Decode(body, &in); err != nil {
			return operation{}, invalidArgs("%v", err)
		}
		return bind(in), nil
	}
}

// find returns the method that is called, with its arguments, which must be those
// that the interface declares.
func (i *iface) find(c *link.Call) (m method, op operation, err error) {
	declared, m := i.Method(c.Member), i.methods[c.Member]
	if declared == nil {
		return m, op, &fault{errUnknownMethod, "interface " + i.Name + " has no such method"}
	}
	if in := declared.In(); c.Signature != in {
		return m, op, invalidArgs("%s.%s takes arguments of type %q, not %q", i.Name, c.Member, in, c.Signature)
	}
	if c.Refused != "" {
		return m, op, invalidArgs("%s.%s: invalid arguments: %s", i.Name, c.Member, c.Refused)
	}
	op, err = m.decode(c.Body)
	return m, op, err
}
