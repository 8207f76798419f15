package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"kcmd.org/kcmd/dbus/client"
)

// A chosen cache is the one that an argument means.
type chosen struct {
	*client.Cache
	path client.ObjectPath
}

// choice says what to do when several caches have one principal.
type choice bool

const (
	first  choice = true  // take the default one, or the one that ends last
	unique choice = false // refuse
)

// cache returns the cache that the first argument means: the name of a cache, a UUID
// or a principal. Without an argument it is the default cache.
func (b *bus) cache(ctx context.Context, args []string, which choice) (chosen, error) {
	path, err := b.defaultCache(ctx, args)
	if err == nil && path == "" {
		path, err = b.named(ctx, args[0], which)
	}
	if err != nil {
		return chosen{}, err
	}
	c, err := b.GetCacheProperties(ctx, path)
	if errors.Is(err, client.ErrUnknownObject) {
		return chosen{}, fail(exitNotFound, "the cache has just been destroyed")
	}
	return chosen{c, path}, explain("read the cache", err)
}

// defaultCache returns the default cache if no other is named, else "".
func (b *bus) defaultCache(ctx context.Context, args []string) (client.ObjectPath, error) {
	if len(args) > 0 && args[0] != "KCM:" {
		return "", nil
	}
	c, err := b.GetCollectionProperties(ctx, b.collection)
	switch {
	case err != nil:
		return "", explain("find the default cache", err)
	case len(c.Caches) == 0:
		return "", fail(exitNotFound, "there are no caches; get a ticket with kinit")
	case c.DefaultCache == "/":
		return "", fail(exitNotFound, "there is no default cache; name one of kcmctl list, or make it the default with kcmctl switch CACHE")
	}
	return c.DefaultCache, nil
}

// named returns the cache with a name, a UUID or a principal.
func (b *bus) named(ctx context.Context, arg string, which choice) (client.ObjectPath, error) {
	if _, err := uuid.Parse(arg); err == nil || strings.HasPrefix(arg, "KCM:") {
		path, err := b.GetCache(ctx, arg)
		if errors.Is(err, client.ErrUnknownObject) || err == nil && !b.has(path) {
			return "", fail(exitNotFound, "there is no cache %s; see kcmctl list", arg)
		}
		return path, explain("find the cache "+arg, err)
	}
	found, err := b.FindCaches(ctx, arg)
	if err != nil {
		return "", explain("find a cache of "+arg, err)
	}
	found = slices.DeleteFunc(found, func(path client.ObjectPath) bool { return !b.has(path) })
	switch {
	case len(found) == 0:
		return "", fail(exitNotFound, "there is no cache of %s; see kcmctl list", arg)
	case len(found) > 1 && which == unique:
		return "", b.ambiguous(ctx, arg, found)
	}
	return found[0], nil
}

// has reports whether a cache is in the collection.
func (b *bus) has(cache client.ObjectPath) bool {
	return strings.HasPrefix(string(cache), string(b.collection)+"/")
}

func (b *bus) ambiguous(ctx context.Context, principal string, found []client.ObjectPath) error {
	caches, err := b.read(ctx, found)
	if err != nil {
		return err
	}
	var names []string
	for _, c := range caches {
		names = append(names, c.Name)
	}
	return fail(exitUsage, "%s has %d caches; name one of them: %s", principal, len(names), strings.Join(names, ", "))
}

// ticket returns the ticket of a cache that an argument means: its id or the end of
// it, or its server principal.
func (b *bus) ticket(ctx context.Context, c chosen, arg string) (*client.Ticket, error) {
	var found []client.Ticket
	for t, err := range b.Tickets(ctx, c.path, client.TicketQuery{}) {
		if err != nil {
			return nil, explain("list the tickets of "+c.Name, err)
		}
		if t.ID == arg || t.Server == arg || len(arg) >= 4 && strings.HasSuffix(t.ID, arg) {
			found = append(found, t)
		}
	}
	switch len(found) {
	case 0:
		return nil, fail(exitNotFound, "%s has no ticket %s; see kcmctl show", c.Name, arg)
	case 1:
		return &found[0], nil
	}
	return nil, fail(exitUsage, "%s has %d tickets %s; name one by its id: kcmctl show --json", c.Name, len(found), arg)
}

// with runs a command with a connection.
func (o *options) with(ctx context.Context, do func(b *bus) error) error {
	b, err := connect(ctx, o)
	if err != nil {
		return err
	}
	defer b.Close()
	return do(b)
}

// withCache runs a command with a connection for the cache that its arguments name.
func (o *options) withCache(ctx context.Context, args []string, which choice, do func(b *bus, c chosen) error) error {
	return o.with(ctx, func(b *bus) error {
		c, err := b.cache(ctx, args, which)
		if err != nil {
			return err
		}
		return do(b, c)
	})
}

// what names a cache in messages.
func (c chosen) what() string {
	if c.ClientPrincipal == "" {
		return c.Name
	}
	return fmt.Sprintf("%s of %s", c.Name, c.ClientPrincipal)
}
