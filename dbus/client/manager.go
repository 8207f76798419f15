package client

import (
	"context"

	godbus "github.com/godbus/dbus/v5"
)

// Own is the uid that stands for the caller's in GetCollection.
const Own = ^uint32(0)

// GetManagedObjects returns the collections and caches in view, and subscribes the connection.
func (c *Client) GetManagedObjects(ctx context.Context) (*Objects, error) {
	var found map[ObjectPath]map[string]map[string]godbus.Variant
	if err := c.call(ctx, ManagerPath, objectsInterface, "GetManagedObjects", nil, &found); err != nil {
		return nil, err
	}
	o := &Objects{Collections: make(map[ObjectPath]*Collection), Caches: make(map[ObjectPath]*Cache)}
	for path, interfaces := range found {
		if err := o.add(path, interfaces); err != nil {
			return nil, err
		}
	}
	return o, nil
}

// add adds the interfaces of an object.
func (o *Objects) add(path ObjectPath, interfaces map[string]map[string]godbus.Variant) error {
	for iface, properties := range interfaces {
		var into any
		switch iface {
		case collectionInterface:
			o.Collections[path] = new(Collection)
			into = o.Collections[path]
		case cacheInterface:
			o.Caches[path] = new(Cache)
			into = o.Caches[path]
		default:
			continue
		}
		if err := decode(properties, into); err != nil {
			return err
		}
	}
	return nil
}

// GetManager returns the properties of the manager.
func (c *Client) GetManager(ctx context.Context) (*Manager, error) {
	m := new(Manager)
	return m, c.getAll(ctx, ManagerPath, managerInterface, m)
}

// GetCollection returns the path of the collection of uid, or of the caller (Own).
func (c *Client) GetCollection(ctx context.Context, uid uint32) (collection ObjectPath, err error) {
	err = c.call(ctx, ManagerPath, managerInterface, "GetCollection", []any{uid}, &collection)
	return collection, err
}

// A CollectionRef is a collection in view.
type CollectionRef struct {
	UID  uint32
	Path ObjectPath
}

// ListCollections returns the collections in view.
func (c *Client) ListCollections(ctx context.Context) (list []CollectionRef, err error) {
	err = c.call(ctx, ManagerPath, managerInterface, "ListCollections", nil, &list)
	return list, err
}

// FindCaches returns the caches of a client principal, the default cache first. ""
// matches every cache, "alice" that name in every realm, "*@REALM" every client of a
// realm.
func (c *Client) FindCaches(ctx context.Context, principal string) (caches []ObjectPath, err error) {
	err = c.call(ctx, ManagerPath, managerInterface, "FindCaches", []any{principal}, &caches)
	return caches, err
}

// GetCache returns the path of the cache with a name ("KCM:1000:3f2a", "KCM:") or UUID.
func (c *Client) GetCache(ctx context.Context, name string) (cache ObjectPath, err error) {
	err = c.call(ctx, ManagerPath, managerInterface, "GetCache", []any{name}, &cache)
	return cache, err
}

// SubscribeOptions restrict the events of a subscription.
type SubscribeOptions struct {
	NoTickets  bool       // without TicketsAdded and TicketsRemoved
	NoExpiry   bool       // without TicketExpiring, TicketExpired, TicketRenewed and RenewalFailed
	Collection ObjectPath // only of this collection; "": of all in view
}

func (o SubscribeOptions) dictionary() map[string]godbus.Variant {
	d := make(map[string]godbus.Variant)
	if o.NoTickets {
		d["tickets"] = godbus.MakeVariant(false)
	}
	if o.NoExpiry {
		d["expiry"] = godbus.MakeVariant(false)
	}
	if o.Collection != "" {
		d["collection"] = godbus.MakeVariant(o.Collection)
	}
	return d
}

// Subscribe has kcmd send signals to this connection; see Events.
func (c *Client) Subscribe(ctx context.Context, o SubscribeOptions) error {
	return c.call(ctx, ManagerPath, managerInterface, "Subscribe", []any{o.dictionary()})
}

// SubscribeProcess subscribes the connections of another process of the same uid,
// and returns how many there are.
func (c *Client) SubscribeProcess(ctx context.Context, pid uint32, o SubscribeOptions) (connections uint32, err error) {
	err = c.call(ctx, ManagerPath, managerInterface, "SubscribeProcess", []any{pid, o.dictionary()}, &connections)
	return connections, err
}

// Unsubscribe ends the subscription of this connection.
func (c *Client) Unsubscribe(ctx context.Context) error {
	return c.call(ctx, ManagerPath, managerInterface, "Unsubscribe", nil)
}

// SetScope sets the collections in view: "own" or "all".
func (c *Client) SetScope(ctx context.Context, scope string) error {
	return c.call(ctx, ManagerPath, managerInterface, "SetScope", []any{scope})
}

// GetStatistics returns figures of the daemon, for administrators.
func (c *Client) GetStatistics(ctx context.Context) (*Statistics, error) {
	var values map[string]godbus.Variant
	if err := c.call(ctx, ManagerPath, managerInterface, "GetStatistics", nil, &values); err != nil {
		return nil, err
	}
	s := new(Statistics)
	return s, decode(values, s)
}
