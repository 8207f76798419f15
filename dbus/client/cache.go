package client

import (
	"context"
	"iter"
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

// GetCacheProperties returns the properties of a cache.
func (c *Client) GetCacheProperties(ctx context.Context, cache ObjectPath) (*Cache, error) {
	p := new(Cache)
	return p, c.getAll(ctx, cache, cacheInterface, p)
}

// A TicketQuery selects tickets of a cache. The zero value selects all.
type TicketQuery struct {
	Server  string // exactly
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
