package dbus

import (
	"slices"
	"strings"

	godbus "github.com/godbus/dbus/v5"
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/introspection"
)

var cacheInterface = &iface{introspection.Cache, map[string]method{
	"ListTickets":   {run: listTickets},
	"GetTicket":     {run: getTicket},
	"RemoveTickets": {change: removeTickets},
	"SwitchTo":      {change: switchTo},
	"Destroy":       {change: destroy},
}}

// A cache is one cache of a collection.
type cache struct {
	*ccstore.Cache
	in collection
}

func (c cache) path() godbus.ObjectPath { return cachePath(c.in.uid(), c.UUID) }

// name returns the name that KRB5CCNAME takes.
func (c cache) name() string { return text("KCM:" + c.Name) }

func (c cache) isDefault() bool { return c.in.Default() == c.Cache }

// kdcTime returns what the KDC's clock showed when the collection was read. It
// is the one that times in tickets are told by.
func (c cache) kdcTime() int64 { return c.in.at + int64(c.KDCOffset) }

// tgtEnd returns when the TGT ends, 0 if there is none.
func (c cache) tgtEnd() int64 {
	if tgt := c.TGT(); tgt != nil {
		return int64(tgt.EndTime)
	}
	return 0
}

// state returns the state of the cache: "empty", "no-tgt", or that of its TGT.
func (c cache) state() string {
	if c.Principal.Realm == "" && len(c.Principal.Components) == 0 {
		return "empty"
	}
	tgt := c.TGT()
	if tgt == nil {
		return "no-tgt"
	}
	return ticketState(tgt, c.kdcTime(), c.in.warning)
}

// properties returns the properties of the interface Cache.
func (c cache) properties(*bus, *call) map[string]any {
	p := map[string]any{
		"Name":            c.name(),
		"UUID":            c.UUID.String(),
		"Type":            "KCM",
		"Collection":      c.in.path(),
		"ClientPrincipal": principal(c.Principal),
		"Realm":           text(c.Principal.Realm),
		"State":           c.state(),
		"IsDefault":       c.isDefault(),
		"AuthTime":        int64(0),
		"StartTime":       int64(0),
		"EndTime":         int64(0),
		"RenewUntil":      int64(0),
		"Flags":           []string{},
		"KdcOffset":       c.KDCOffset,
		"TicketCount":     uint32(c.Tickets()),
		"LastChanged":     c.Changed.Unix(),
	}
	if tgt := c.TGT(); tgt != nil {
		p["AuthTime"] = int64(tgt.AuthTime)
		p["StartTime"] = int64(tgt.Start())
		p["EndTime"] = int64(tgt.EndTime)
		p["RenewUntil"] = renewUntil(tgt)
		p["Flags"] = tgt.Flags.Names()
	}
	return p
}

// estimate returns about how many bytes the cache takes in a message.
func (c cache) estimate() int {
	return 1<<10 + len(c.name()) + len(principal(c.Principal)) + len(text(c.Principal.Realm))
}

// principal returns p as klist prints it, "" if it is not set.
func principal(p ccache.Principal) string {
	if p.Realm == "" && len(p.Components) == 0 {
		return ""
	}
	return text(p.String())
}

// maxListed bounds the answer of ListTickets, by an estimate of its bytes.
const maxListed = 8 << 20

// ticketStates are the states that a ticket may have.
var ticketStates = []string{"not-yet-valid", "invalid", "valid", "expiring", "expired"}

func listTickets(b *bus, c *call, o object) ([]any, error) {
	var offset, server, state, tgtOnly = uint32(0), "", "", false
	limit := ^uint32(0)
	err := readOptions(c.body[0],
		option{"offset", &offset}, option{"limit", &limit}, option{"server", &server},
		option{"state", &state}, option{"tgt-only", &tgtOnly})
	if err != nil {
		return nil, err
	}
	if state != "" && !slices.Contains(ticketStates, state) {
		return nil, invalidArgs("option \"state\": %q is no state of a ticket; allowed: %s", text(state), strings.Join(ticketStates, ", "))
	}
	one := b.asOfNow(o.(cache))
	listed := []map[string]godbus.Variant{}
	total, size := uint32(0), 0
	for cred := range one.Credentials() {
		if cred.IsConfig() || tgtOnly && !cred.IsTGT() || server != "" && server != principal(cred.Server) ||
			state != "" && state != one.ticketState(cred) {
			continue
		}
		total++
		if total <= offset || total-offset > limit || size > maxListed {
			continue
		}
		t := one.ticket(cred)
		size += ticketEstimate(t)
		listed = append(listed, t)
	}
	return []any{listed, total}, nil
}

func getTicket(b *bus, c *call, o object) ([]any, error) {
	id, err := uuid.Parse(c.body[0].(string))
	if err != nil {
		return nil, ccstore.ErrNoCredential
	}
	one := b.asOfNow(o.(cache))
	cred, err := one.Credential(id)
	if err != nil || cred.IsConfig() {
		return nil, ccstore.ErrNoCredential
	}
	return []any{one.ticket(cred)}, nil
}

// asOfNow returns the cache to describe its tickets by: their states are never
// announced, so they are told by the clock and not as of the last announcement.
func (b *bus) asOfNow(c cache) cache {
	c.in.at = b.Clock.Now().Unix()
	return c
}

// updateCache runs f in a transaction, with the cache that c is about.
func (b *bus) updateCache(c *call, f func(tx *ccstore.Tx, one *ccstore.Cache) error) error {
	return b.store.Update(b.ctx, c.owner(), func(tx *ccstore.Tx) error {
		one, err := tx.CacheByUUID(c.where.cache)
		if err != nil {
			return err
		}
		return f(tx, one)
	})
}

func removeTickets(b *bus, c *call) ([]any, error) {
	var removed int
	err := b.updateCache(c, func(tx *ccstore.Tx, one *ccstore.Cache) (err error) {
		removed, err = tx.RemoveByUUID(one.Name, ticketsOf(one, c.body[0].([]string)))
		return err
	})
	return []any{uint32(removed)}, err
}

// ticketsOf returns those of the ids that are tickets of one: what is no ticket
// has no id on D-Bus.
func ticketsOf(one *ccstore.Cache, ids []string) []uuid.UUID {
	var tickets []uuid.UUID
	for _, s := range ids {
		id, err := uuid.Parse(s)
		if err != nil {
			continue
		}
		if cred, err := one.Credential(id); err == nil && !cred.IsConfig() {
			tickets = append(tickets, id)
		}
	}
	return tickets
}

func switchTo(b *bus, c *call) ([]any, error) {
	return nil, b.updateCache(c, func(tx *ccstore.Tx, one *ccstore.Cache) error {
		tx.SetDefault(one.Name)
		return nil
	})
}

func destroy(b *bus, c *call) ([]any, error) {
	return nil, b.updateCache(c, func(tx *ccstore.Tx, one *ccstore.Cache) error {
		return tx.Destroy(one.Name)
	})
}
