package client

import (
	"context"
	"fmt"
	"iter"
	"os"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// GetCollectionProperties returns the properties of a collection.
func (c *Client) GetCollectionProperties(ctx context.Context, collection ObjectPath) (*Collection, error) {
	p := new(Collection)
	return p, c.getAll(ctx, collection, collectionInterface, p)
}

// SetDefault makes a cache the default of its collection.
func (c *Client) SetDefault(ctx context.Context, collection, cache ObjectPath) error {
	return c.call(ctx, collection, collectionInterface, "SetDefault", []any{cache})
}

// DestroyAll destroys all caches of a collection and returns how many there were.
func (c *Client) DestroyAll(ctx context.Context, collection ObjectPath) (destroyed uint32, err error) {
	err = c.call(ctx, collection, collectionInterface, "DestroyAll", nil, &destroyed)
	return destroyed, err
}

// AcquireOptions say which tickets to get, and where to put them. krb5.conf decides what
// is zero.
type AcquireOptions struct {
	Cache        string // name; "": the cache of the client, or a new one
	IfNeeded     bool   // not if the cache has a valid TGT
	StartIn      time.Duration
	Lifetime     time.Duration
	RenewableFor time.Duration
	Forwardable  *bool
	Proxiable    *bool
	Addressless  *bool
	Service      string // "": a TGT
}

func (o AcquireOptions) dictionary() map[string]godbus.Variant {
	d := make(map[string]godbus.Variant)
	for key, value := range map[string]string{"cache": o.Cache, "service": o.Service} {
		if value != "" {
			d[key] = godbus.MakeVariant(value)
		}
	}
	for key, value := range map[string]time.Duration{"start-in": o.StartIn, "lifetime": o.Lifetime, "renewable-for": o.RenewableFor} {
		if value > 0 {
			d[key] = godbus.MakeVariant(uint32(value / time.Second))
		}
	}
	for key, value := range map[string]*bool{"forwardable": o.Forwardable, "proxiable": o.Proxiable, "addressless": o.Addressless} {
		if value != nil {
			d[key] = godbus.MakeVariant(*value)
		}
	}
	if o.IfNeeded {
		d["if-needed"] = godbus.MakeVariant(true)
	}
	return d
}

// AcquireWithPassword has the KDC give tickets to a client with a password, and returns
// the cache with them. The caller overwrites the password.
func (c *Client) AcquireWithPassword(ctx context.Context, collection ObjectPath, client string, password []byte, o AcquireOptions) (cache ObjectPath, err error) {
	err = c.callWithSecrets(ctx, collection, "AcquireWithPassword", [][]byte{password}, func(fd ...any) []any {
		return []any{client, fd[0], o.dictionary()}
	}, &cache)
	return cache, err
}

// AcquireWithKeytab has the KDC give tickets to a client with a key, to the one of the
// first key if client is "", and returns the cache with them. The caller overwrites the
// keytab.
func (c *Client) AcquireWithKeytab(ctx context.Context, collection ObjectPath, client string, keytab []byte, o AcquireOptions) (cache ObjectPath, err error) {
	err = c.callWithSecrets(ctx, collection, "AcquireWithKeytab", [][]byte{keytab}, func(fd ...any) []any {
		return []any{client, fd[0], o.dictionary()}
	}, &cache)
	return cache, err
}

// ChangePassword has the KDC change the password of a client. The caller overwrites both.
func (c *Client) ChangePassword(ctx context.Context, collection ObjectPath, client string, password, next []byte) error {
	return c.callWithSecrets(ctx, collection, "ChangePassword", [][]byte{password, next}, func(fd ...any) []any {
		return append([]any{client}, fd...)
	})
}

// callWithSecrets calls a method of a collection with pipes that hold secrets.
func (c *Client) callWithSecrets(ctx context.Context, collection ObjectPath, method string, secrets [][]byte, in func(fd ...any) []any, out ...any) error {
	var ends []any
	for _, secret := range secrets {
		r, w, err := os.Pipe()
		if err != nil {
			return fmt.Errorf("%s: %w", method, err)
		}
		defer r.Close()
		stop := context.AfterFunc(ctx, func() { w.Close() })
		defer stop()
		go func() {
			_, _ = w.Write(secret)
			w.Close()
		}()
		ends = append(ends, godbus.UnixFD(r.Fd()))
	}
	return c.call(ctx, collection, collectionInterface, method, in(ends...), out...)
}

// Verify verifies that the TGT of a cache is of a KDC that knows the key of a service of
// this host, "" for any. Without requireKeytab, a host without a keytab verifies all.
func (c *Client) Verify(ctx context.Context, cache ObjectPath, service string, requireKeytab bool) error {
	options := map[string]godbus.Variant{"require-keytab": godbus.MakeVariant(requireKeytab)}
	if service != "" {
		options["service"] = godbus.MakeVariant(service)
	}
	return c.call(ctx, cache, cacheInterface, "Verify", []any{options})
}

// GetCacheProperties returns the properties of a cache.
func (c *Client) GetCacheProperties(ctx context.Context, cache ObjectPath) (*Cache, error) {
	p := new(Cache)
	return p, c.getAll(ctx, cache, cacheInterface, p)
}

// A TicketQuery selects tickets of a cache. The zero value selects all.
type TicketQuery struct {
	Server  string // as klist prints it; without realm: in every realm
	State   string
	TGTOnly bool
	Offset  uint32 // of the tickets that match
	Limit   uint32 // of the tickets in the answer; 0: none but that of kcmd
}

func (q TicketQuery) dictionary() map[string]godbus.Variant {
	d := make(map[string]godbus.Variant)
	for key, value := range map[string]string{"server": q.Server, "state": q.State} {
		if value != "" {
			d[key] = godbus.MakeVariant(value)
		}
	}
	for key, value := range map[string]uint32{"offset": q.Offset, "limit": q.Limit} {
		if value != 0 {
			d[key] = godbus.MakeVariant(value)
		}
	}
	if q.TGTOnly {
		d["tgt-only"] = godbus.MakeVariant(true)
	}
	return d
}

// ListTickets returns a page of the tickets that q selects, and how many there are
// without Offset and Limit.
func (c *Client) ListTickets(ctx context.Context, cache ObjectPath, q TicketQuery) (page []Ticket, total uint32, err error) {
	var list []map[string]godbus.Variant
	if err := c.call(ctx, cache, cacheInterface, "ListTickets", []any{q.dictionary()}, &list, &total); err != nil {
		return nil, 0, err
	}
	page, err = decodeTickets(list)
	return page, total, err
}

// Tickets yields all tickets that q selects from its Offset on, page by page. An
// error is the last it yields.
func (c *Client) Tickets(ctx context.Context, cache ObjectPath, q TicketQuery) iter.Seq2[Ticket, error] {
	return func(yield func(Ticket, error) bool) {
		for {
			page, total, err := c.ListTickets(ctx, cache, q)
			if err != nil {
				yield(Ticket{}, err)
				return
			}
			for _, t := range page {
				if !yield(t, nil) {
					return
				}
			}
			q.Offset += uint32(len(page))
			if len(page) == 0 || q.Offset >= total {
				return
			}
		}
	}
}

// GetTicket returns a ticket.
func (c *Client) GetTicket(ctx context.Context, cache ObjectPath, id string) (*Ticket, error) {
	var values map[string]godbus.Variant
	if err := c.call(ctx, cache, cacheInterface, "GetTicket", []any{id}, &values); err != nil {
		return nil, err
	}
	t := new(Ticket)
	return t, decode(values, t)
}

// RemoveTickets removes tickets, and returns how many there were.
func (c *Client) RemoveTickets(ctx context.Context, cache ObjectPath, ids ...string) (removed uint32, err error) {
	err = c.call(ctx, cache, cacheInterface, "RemoveTickets", []any{ids}, &removed)
	return removed, err
}

// SwitchTo makes a cache the default of its collection.
func (c *Client) SwitchTo(ctx context.Context, cache ObjectPath) error {
	return c.call(ctx, cache, cacheInterface, "SwitchTo", nil)
}

// SetAutoRenew sets whether the TGT of a cache is renewed by itself.
func (c *Client) SetAutoRenew(ctx context.Context, cache ObjectPath, on bool) error {
	return c.call(ctx, cache, propertiesInterface, "Set", []any{cacheInterface, "AutoRenew", godbus.MakeVariant(on)})
}

// Renew has the KDC renew the TGT of a cache, and returns the end of the new one.
func (c *Client) Renew(ctx context.Context, cache ObjectPath) (end time.Time, err error) {
	return c.exchange(ctx, cache, "Renew", map[string]godbus.Variant{})
}

// Validate has the KDC validate the postdated TGT of a cache, and returns the end of the
// valid one.
func (c *Client) Validate(ctx context.Context, cache ObjectPath) (end time.Time, err error) {
	return c.exchange(ctx, cache, "Validate")
}

func (c *Client) exchange(ctx context.Context, cache ObjectPath, method string, in ...any) (end time.Time, err error) {
	var seconds int64
	err = c.call(ctx, cache, cacheInterface, method, in, &seconds)
	if err != nil || seconds == 0 {
		return time.Time{}, err
	}
	return time.Unix(seconds, 0), nil
}

// Destroy destroys a cache.
func (c *Client) Destroy(ctx context.Context, cache ObjectPath) error {
	return c.call(ctx, cache, cacheInterface, "Destroy", nil)
}
