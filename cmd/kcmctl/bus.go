package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"kcmd.org/kcmd/cmd/words"
	"kcmd.org/kcmd/dbus/client"
)

// A bus is a connection to kcmd, for the caches of one user.
type bus struct {
	*client.Client
	options    *options
	name       string // "system" or "session"
	uid        uint32
	collection client.ObjectPath
	endAgent   func() // nil if there is none
}

// Close ends the connection, and the agent that asks for passwords.
func (b *bus) Close() error {
	if b.endAgent != nil {
		b.endAgent()
	}
	return b.Client.Close()
}

// seeAll brings all collections into view, for which polkit may ask for a password.
func (b *bus) seeAll(ctx context.Context) error {
	if b.endAgent == nil && b.name == "system" {
		b.endAgent = startAgent(ctx)
	}
	return b.SetScope(ctx, "all")
}

// connect connects to kcmd and finds the collection of the user. Without --system or
// --session it looks on the system bus, then on the session bus.
func connect(ctx context.Context, o *options) (*bus, error) {
	c, err := find(ctx, o)
	if err != nil {
		return nil, err
	}
	if isTerminal(os.Stdin) {
		c = c.Interactive()
	}
	b := &bus{Client: c, options: o, name: c.Bus()}
	b.collection, err = c.GetCollection(ctx, client.Own)
	switch {
	case err == nil:
		return b, b.choose(ctx)
	case errors.Is(err, client.ErrNotRunning):
		err = notRunning(notOn(ctx, c.Bus(), err))
	case ctx.Err() == nil:
		err = notRunning(fmt.Errorf("kcmd on the %s bus does not answer: %s", c.Bus(), words.Reason(err)))
	}
	_ = c.Close()
	return nil, err
}

// find connects to the bus that kcmd is on.
func find(ctx context.Context, o *options) (*client.Client, error) {
	switch {
	case o.system:
		return dial(ctx, "system")
	case o.session:
		return dial(ctx, "session")
	}
	c, err := client.Find(ctx)
	var missing *client.NotFoundError
	switch {
	case !errors.As(err, &missing) || ctx.Err() != nil:
		return c, err
	case ownSocket():
		return dial(ctx, "session")
	case errors.Is(missing.Session, client.ErrNotRunning):
		return nil, notRunning(notOn(ctx, "system", missing.System), notOn(ctx, "session", missing.Session))
	}
	return nil, notRunning(notOn(ctx, "system", missing.System)) // there is no session bus
}

// dial connects to a bus, which starts kcmd for the first call if it can.
func dial(ctx context.Context, name string) (*client.Client, error) {
	c, err := client.Dial(ctx, name)
	if err != nil {
		err = notRunning(notOn(ctx, name, err))
	}
	return c, err
}

// ownSocket reports whether the user has a kcmd of the session, which may wait for its
// first client.
func ownSocket() bool {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	_, err := os.Stat(filepath.Join(dir, "kcmd", "kcm.sock"))
	return dir != "" && err == nil
}

// notRunning returns the error for kcmd on no bus.
func notRunning(failed ...error) error {
	return failure{fmt.Errorf("%w; start it with systemctl enable --now kcmd.socket, or find out why with kcmctl doctor", errors.Join(failed...)), exitNotRunning}
}

// notOn says why kcmd is not on a bus.
func notOn(ctx context.Context, name string, err error) error {
	switch {
	case errors.Is(err, client.ErrNotRunning):
		return fmt.Errorf("kcmd is not on the %s bus%w", name, hidden{err})
	case errors.Is(err, client.ErrCannotStart):
		return fmt.Errorf("the %s bus cannot start kcmd: %s", name, words.Reason(err))
	case errors.Is(err, client.ErrNoSession):
		return client.ErrNoSession
	case len(accountNames(ctx, uint32(os.Getuid()))) == 0:
		return fmt.Errorf("cannot connect to the %s bus: %s; dbus-daemon refuses uids without an account, as %d is", name, words.Reason(err), os.Getuid())
	}
	return fmt.Errorf("cannot connect to the %s bus: %s", name, words.Reason(err))
}

// hidden is an error without a text, for errors.Is.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// choose finds the collection of --uid. Without it, the connection sees that of the
// caller only, also for root.
func (b *bus) choose(ctx context.Context) error {
	b.uid = uint32(os.Getuid())
	uid := b.uid
	if b.options.user != "" {
		var err error
		if uid, err = lookUp(ctx, b.options.user); err != nil {
			return err
		}
	}
	if uid == b.uid {
		return explain("see your caches", b.SetScope(ctx, "own"))
	}
	b.uid = uid
	if err := b.seeAll(ctx); err != nil {
		return explain("see the caches of another user", err)
	}
	path, err := b.GetCollection(ctx, b.uid)
	if errors.Is(err, client.ErrUnknownObject) {
		return fail(exitNotFound, "uid %d has no caches", b.uid)
	}
	if err != nil {
		return explain("find the caches of "+b.options.user, err)
	}
	b.collection = path
	return nil
}

// lookUp returns the uid of a user, by name or as a number.
func lookUp(ctx context.Context, name string) (uint32, error) {
	if n, err := strconv.ParseUint(name, 10, 32); err == nil {
		return uint32(n), nil
	}
	uid, ok := accountUID(ctx, name)
	if !ok {
		return 0, fail(exitNotFound, "there is no user %s; allowed: a name or a uid", name)
	}
	return uid, nil
}

// caches returns the caches of the collection, the default one first.
func (b *bus) caches(ctx context.Context) ([]*client.Cache, error) {
	c, err := b.GetCollectionProperties(ctx, b.collection)
	if err != nil {
		if errors.Is(err, client.ErrUnknownObject) {
			return nil, nil // the last cache of another user has just gone
		}
		return nil, explain("list the caches", err)
	}
	return b.read(ctx, c.Caches)
}

// read returns the caches at paths that still exist.
func (b *bus) read(ctx context.Context, paths []client.ObjectPath) ([]*client.Cache, error) {
	var caches []*client.Cache
	for _, path := range paths {
		cache, err := b.GetCacheProperties(ctx, path)
		switch {
		case err == nil:
			caches = append(caches, cache)
		case !errors.Is(err, client.ErrUnknownObject):
			return nil, explain("read the caches", err)
		}
	}
	return caches, nil
}
