package render

import (
	"time"

	"kcmd.org/kcmd/dbus/client"
)

// Caches writes a table of caches, the default one with a star.
func (p *Page) Caches(caches []*client.Cache) {
	if len(caches) == 0 {
		p.printf("no caches; get a ticket with: kinit\n")
		return
	}
	t := newTable("", "CACHE", "PRINCIPAL", "STATE", "ENDS", "RENEWABLE UNTIL")
	for _, c := range caches {
		star := ""
		if c.IsDefault {
			star = "*"
		}
		t.add(star, c.Name, principal(c), stateCell(c.State), p.when(lastEnd(c), c.KdcOffset), p.clock(c.RenewUntil))
	}
	p.table(t)
}

// lastEnd is when the TGT ends, or without one the last ticket.
func lastEnd(c *client.Cache) time.Time {
	if c.EndTime.IsZero() {
		return c.LastEndTime
	}
	return c.EndTime
}

func principal(c *client.Cache) string {
	if c.ClientPrincipal == "" {
		return "-"
	}
	return c.ClientPrincipal
}
