package render

import (
	"fmt"
	"slices"
	"strings"

	"kcmd.org/kcmd/dbus/client"
)

// Cache writes a cache and its tickets.
func (p *Page) Cache(c *client.Cache, tickets []client.Ticket) {
	name := c.Name
	if c.IsDefault {
		name += " (default)"
	}
	p.line("Cache", p.paint(bold, name))
	p.line("Principal", principal(c))
	state := stateCell(c.State)
	p.line("State", p.paint(state.colour, state.text))
	if !c.EndTime.IsZero() {
		p.line("Valid from", p.clock(c.StartTime))
		p.line("Ends", p.when(c.EndTime, c.KdcOffset))
	}
	if !c.RenewUntil.IsZero() {
		p.line("Renewable until", p.when(c.RenewUntil, c.KdcOffset))
		p.line("Renewal", p.renewal(c))
	}
	if !c.RefreshTime.IsZero() {
		p.line("From a keytab", "next "+p.when(c.RefreshTime, c.KdcOffset))
	}
	if !c.PasswordExpires.IsZero() {
		p.line("Password expires", p.when(c.PasswordExpires, c.KdcOffset))
	}
	if c.Impersonator != "" {
		p.line("Obtained by", c.Impersonator)
	}
	if c.KdcOffset != 0 {
		p.line("KDC's clock", fmt.Sprintf("%+d s", c.KdcOffset))
	}
	p.line("Changed", p.when(c.LastChanged, 0))
	p.line("UUID", c.UUID)
	p.tickets(c, tickets)
}

// line writes a name and a value.
func (p *Page) line(name string, value any) {
	p.printf("%s%*s%s\n", p.paint(dim, name), 17-width(name), styled(""), value)
}

// renewal says how the renewal of the TGT goes.
func (p *Page) renewal(c *client.Cache) string {
	text := c.RenewalState
	switch {
	case text == "off" && !c.AutoRenew:
		text = "off for this cache"
	case text == "off":
		text = "kcmd renews no tickets by itself"
	}
	if !c.NextRenewal.IsZero() {
		text += ", next " + p.when(c.NextRenewal, 0)
	}
	if c.RenewalError != "" {
		text += ", last error " + c.RenewalError[strings.LastIndexByte(c.RenewalError, '.')+1:]
	}
	return text
}

// tickets writes the table of a cache's tickets.
func (p *Page) tickets(c *client.Cache, tickets []client.Ticket) {
	if len(tickets) == 0 {
		return
	}
	p.printf("\n")
	t := newTable("TICKET", "SERVER", "STATE", "ENDS", "FLAGS", "KEY", "ENCRYPTED WITH")
	for i := range tickets {
		ticket := &tickets[i]
		t.add(shortID(ticket.ID), server(c, ticket), stateCell(ticket.State), p.when(ticket.EndTime, c.KdcOffset),
			letters(ticket.Flags), enctype(ticket.Enctype), enctype(ticket.TicketEnctype))
	}
	p.table(t)
}

// shortID returns the end of a ticket's id, which "kcmctl remove" understands. Ids of
// one cache begin alike.
func shortID(id string) string { return id[max(0, len(id)-8):] }

// server returns the server principal of a ticket, and the client's if that is not
// the one of the cache.
func server(c *client.Cache, t *client.Ticket) string {
	if t.Client == c.ClientPrincipal {
		return t.Server
	}
	return t.Server + " for " + t.Client
}

// flagLetters are the letters that klist -f prints, in its order.
var flagLetters = []struct{ name, letter string }{
	{"forwardable", "F"}, {"forwarded", "f"}, {"proxiable", "P"}, {"proxy", "p"},
	{"may-postdate", "D"}, {"postdated", "d"}, {"invalid", "i"}, {"renewable", "R"},
	{"initial", "I"}, {"hw-authenticated", "H"}, {"pre-authenticated", "A"},
	{"transit-policy-checked", "T"}, {"ok-as-delegate", "O"}, {"anonymous", "a"},
}

func letters(flags []string) string {
	var b strings.Builder
	for _, f := range flagLetters {
		if slices.Contains(flags, f.name) {
			b.WriteString(f.letter)
		}
	}
	return b.String()
}

// Done says what became of a cache: "KCM:1000 of alice@EXAMPLE.COM is renewed, ends ...".
func (p *Page) Done(c *client.Cache, done string) {
	p.printf("%s", p.paint(bold, c.Name))
	if c.ClientPrincipal != "" {
		p.printf(" of %s", c.ClientPrincipal)
	}
	p.printf(" %s", done)
	if end := lastEnd(c); !end.IsZero() {
		p.printf(", ends %s", p.when(end, c.KdcOffset))
	}
	p.printf("\n")
}

// Password says that the password of a principal is changed.
func (p *Page) Password(principal string) {
	p.printf("The password of %s is changed\n", p.paint(bold, principal))
}

// Count says how many things a command did something to.
func (p *Page) Count(n uint32, thing, done string) {
	if n != 1 {
		thing += "s"
	}
	p.printf("%d %s %s\n", n, thing, done)
}
