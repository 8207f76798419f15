package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

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
	names := []string{"system", "session"}
	switch {
	case o.system:
		names = names[:1]
	case o.session:
		names = names[1:]
	}
	var failed []error
	for _, name := range names {
		b, err := dial(ctx, name, o)
		if err == nil {
			return b, nil
		}
		if b != nil || ctx.Err() != nil { // kcmd is there
			return nil, err
		}
		failed = append(failed, err)
	}
	return nil, failure{notRunning(failed), exitNotRunning}
}

// notRunning returns the error for kcmd on no bus.
func notRunning(failed []error) error {
	if len(failed) > 1 && !errors.Is(failed[1], client.ErrNotRunning) {
		failed = failed[:1] // there is no session bus
	}
	return fmt.Errorf("%w; start it with systemctl enable --now kcmd.socket, or find out why with kcmctl doctor", errors.Join(failed...))
}

// dial connects to kcmd on a bus. If kcmd is there, it returns a bus with any error.
func dial(ctx context.Context, name string, o *options) (*bus, error) {
	address := name
	if name == "session" {
		var err error
		if address, err = sessionAddress(); err != nil {
			return nil, err
		}
	}
	c, err := client.Dial(ctx, address)
	if err != nil {
		if len(accountNames(ctx, uint32(os.Getuid()))) == 0 {
			return nil, fmt.Errorf("cannot connect to the %s bus: %s; dbus-daemon refuses uids without an account, as %d is", name, reason(err), os.Getuid())
		}
		return nil, fmt.Errorf("cannot connect to the %s bus: %s", name, reason(err))
	}
	if isTerminal(os.Stdin) {
		c = c.Interactive()
	}
	b := &bus{Client: c, options: o, name: name}
	b.collection, err = c.GetCollection(ctx, client.Own)
	if err == nil {
		return b, b.choose(ctx)
	}
	_ = c.Close()
	if errors.Is(err, client.ErrNotRunning) {
		return nil, fmt.Errorf("kcmd is not on the %s bus%w", name, hidden{err})
	}
	return nil, fmt.Errorf("kcmd on the %s bus does not answer: %s", name, reason(err))
}

// hidden is an error without a text, for errors.Is.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }

// sessionAddress returns the address of the session bus. It starts none, unlike the
// library.
func sessionAddress() (string, error) {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address, nil
	}
	path := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
	if _, err := os.Stat(path); os.Getenv("XDG_RUNTIME_DIR") == "" || err != nil {
		return "", errors.New("there is no session bus")
	}
	return "unix:path=" + path, nil
}

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
