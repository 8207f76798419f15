package client

import (
	"context"
	"fmt"
	"iter"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// An Event is a signal of kcmd: one of the types below.
type Event interface{ isEvent() }

type (
	// Added says that a collection or a cache came into view.
	Added struct {
		Object     ObjectPath
		Collection *Collection // nil for a cache
		Cache      *Cache      // nil for a collection
	}

	// Removed says that an object left the view.
	Removed struct{ Object ObjectPath }

	// Changed has changed properties of an object, see Apply.
	Changed struct {
		Object ObjectPath
		values map[string]godbus.Variant
	}

	// TicketsAdded has tickets that were stored in a cache.
	TicketsAdded struct {
		Cache   ObjectPath
		Tickets []Ticket
	}

	// TicketsRemoved has tickets that left a cache.
	TicketsRemoved struct {
		Cache   ObjectPath
		Tickets []RemovedTicket
		Reason  string // "removed", "replaced", "reinitialized", "purged", or a later one
	}

	// TicketExpiring says that a TGT is about to expire.
	TicketExpiring struct {
		Cache  ObjectPath
		Ticket Ticket
		Left   time.Duration
	}

	// TicketExpired says that a TGT has expired.
	TicketExpired struct {
		Cache  ObjectPath
		Ticket Ticket
	}

	// TicketRenewed says that the KDC renewed a TGT.
	TicketRenewed struct {
		Cache  ObjectPath
		Former string // ID of the ticket in whose place it is
		Ticket Ticket
	}

	// RenewalFailed says that a TGT could not be renewed.
	RenewalFailed struct {
		Cache   ObjectPath
		Error   string    // name of the error on D-Bus
		Message string    // for people
		Next    time.Time // when it is tried again, zero: not any more
	}

	// SignInWanted says that a program of the user looks for a ticket, and that the
	// user has none that is of use.
	SignInWanted struct {
		Collection ObjectPath
		PID        uint32 // 0 if it is unknown
		Server     string // service principal, "" if it is unknown; the program chose it
		Reason     string // "no-cache", "no-tgt", "expired", or a later one
	}

	// Restarted says that kcmd left the bus or came back. Its subscriptions ended:
	// subscribe again and read everything anew once it is Running.
	Restarted struct{ Running bool }
)

// A RemovedTicket names a ticket that left a cache.
type RemovedTicket struct{ ID, Server string }

func (Added) isEvent()          {}
func (Removed) isEvent()        {}
func (Changed) isEvent()        {}
func (TicketsAdded) isEvent()   {}
func (TicketsRemoved) isEvent() {}
func (TicketExpiring) isEvent() {}
func (TicketExpired) isEvent()  {}
func (TicketRenewed) isEvent()  {}
func (RenewalFailed) isEvent()  {}
func (SignInWanted) isEvent()   {}
func (Restarted) isEvent()      {}

// Apply sets the changed properties in the *Manager, *Collection or *Cache.
func (e Changed) Apply(to any) error { return decode(e.values, to) }

// Events listens, calls ready, and yields the events for this connection in order
// until ctx or the connection ends, or ready fails. ready subscribes and reads what is
// there: no event after that is missed. An error is the last that Events yields.
func (c *Client) Events(ctx context.Context, ready func() error) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		signals := make(chan *godbus.Signal)
		c.conn.Signal(signals)
		defer c.conn.RemoveSignal(signals)
		for _, match := range [][]godbus.MatchOption{
			{godbus.WithMatchSender(BusName)},
			{godbus.WithMatchSender("org.freedesktop.DBus"), godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, BusName)},
		} {
			if err := c.conn.AddMatchSignalContext(ctx, match...); err != nil {
				yield(nil, fmt.Errorf("cannot listen to the bus: %w", err))
				return
			}
			defer c.conn.RemoveMatchSignal(match...)
		}
		if err := ready(); err != nil {
			yield(nil, err)
			return
		}
		for {
			select {
			case s, ok := <-signals:
				if !ok {
					yield(nil, fmt.Errorf("the bus closed the connection: %w", godbus.ErrClosed))
					return
				}
				if e, err := event(s); (e != nil || err != nil) && !yield(e, err) || err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

// event makes an event of a signal, nil of one without meaning here.
func event(s *godbus.Signal) (Event, error) {
	read := readers[s.Name]
	if read == nil {
		return nil, nil
	}
	e, err := read(s)
	if err != nil {
		return nil, fmt.Errorf("cannot read the signal %s: %w", s.Name, err)
	}
	return e, nil
}

// readers make events of the signals' arguments.
var readers = map[string]func(*godbus.Signal) (Event, error){
	objectsInterface + ".InterfacesAdded":      added,
	objectsInterface + ".InterfacesRemoved":    removed,
	propertiesInterface + ".PropertiesChanged": changed,
	cacheInterface + ".TicketsAdded":           ticketsAdded,
	cacheInterface + ".TicketsRemoved":         ticketsRemoved,
	cacheInterface + ".TicketExpiring":         ticketExpiring,
	cacheInterface + ".TicketExpired":          ticketExpired,
	cacheInterface + ".TicketRenewed":          ticketRenewed,
	cacheInterface + ".RenewalFailed":          renewalFailed,
	collectionInterface + ".SignInWanted":      signInWanted,
	"org.freedesktop.DBus.NameOwnerChanged":    restarted,
}

func added(s *godbus.Signal) (Event, error) {
	var path ObjectPath
	var interfaces map[string]map[string]godbus.Variant
	if err := godbus.Store(s.Body, &path, &interfaces); err != nil {
		return nil, err
	}
	o := &Objects{Collections: make(map[ObjectPath]*Collection), Caches: make(map[ObjectPath]*Cache)}
	if err := o.add(path, interfaces); err != nil {
		return nil, err
	}
	return Added{path, o.Collections[path], o.Caches[path]}, nil
}

func removed(s *godbus.Signal) (Event, error) {
	var path ObjectPath
	var interfaces []string
	err := godbus.Store(s.Body, &path, &interfaces)
	return Removed{path}, err
}

func changed(s *godbus.Signal) (Event, error) {
	var iface string
	var invalidated []string
	e := Changed{Object: s.Path}
	err := godbus.Store(s.Body, &iface, &e.values, &invalidated)
	return e, err
}

func ticketsAdded(s *godbus.Signal) (Event, error) {
	var list []map[string]godbus.Variant
	if err := godbus.Store(s.Body, &list); err != nil {
		return nil, err
	}
	tickets, err := decodeTickets(list)
	return TicketsAdded{s.Path, tickets}, err
}

func ticketsRemoved(s *godbus.Signal) (Event, error) {
	e := TicketsRemoved{Cache: s.Path}
	err := godbus.Store(s.Body, &e.Tickets, &e.Reason)
	return e, err
}

func ticketExpiring(s *godbus.Signal) (Event, error) {
	var values map[string]godbus.Variant
	var seconds uint32
	if err := godbus.Store(s.Body, &values, &seconds); err != nil {
		return nil, err
	}
	e := TicketExpiring{Cache: s.Path, Left: time.Duration(seconds) * time.Second}
	return e, decode(values, &e.Ticket)
}

func ticketExpired(s *godbus.Signal) (Event, error) {
	var values map[string]godbus.Variant
	if err := godbus.Store(s.Body, &values); err != nil {
		return nil, err
	}
	e := TicketExpired{Cache: s.Path}
	return e, decode(values, &e.Ticket)
}

func ticketRenewed(s *godbus.Signal) (Event, error) {
	e := TicketRenewed{Cache: s.Path}
	var values map[string]godbus.Variant
	if err := godbus.Store(s.Body, &e.Former, &values); err != nil {
		return nil, err
	}
	return e, decode(values, &e.Ticket)
}

func renewalFailed(s *godbus.Signal) (Event, error) {
	e := RenewalFailed{Cache: s.Path}
	var next int64
	err := godbus.Store(s.Body, &e.Error, &e.Message, &next)
	if next != 0 {
		e.Next = time.Unix(next, 0)
	}
	return e, err
}

func signInWanted(s *godbus.Signal) (Event, error) {
	e := SignInWanted{Collection: s.Path}
	err := godbus.Store(s.Body, &e.PID, &e.Server, &e.Reason)
	return e, err
}

func restarted(s *godbus.Signal) (Event, error) {
	var name, before, after string
	err := godbus.Store(s.Body, &name, &before, &after)
	return Restarted{after != ""}, err
}
