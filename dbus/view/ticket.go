package view

import (
	"encoding/asn1"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// States lists the states of a ticket (ccache.States).
var States = func() (list []string) {
	for _, s := range ccache.States {
		list = append(list, string(s))
	}
	return list
}()

// A TicketQuery selects tickets of a cache.
type TicketQuery struct {
	Offset  uint32
	Limit   uint32
	Server  string // see matches
	State   string // one of States; "" is any
	TGTOnly bool
}

// maxListed bounds the answer of ListTickets, by an estimate of its bytes. A bus
// keeps what a caller does not read, and counts it as ours.
const maxListed = 64 << 10

// ListTickets returns the descriptions of a page of the tickets that q selects,
// and how many match without offset and limit. Only the last page may be empty.
func (c Cache) ListTickets(q TicketQuery) (list []Dict, total uint32) {
	list = []Dict{}
	size := 0
	for cred := range c.Credentials() {
		if cred.IsConfig() || q.TGTOnly && !cred.IsTGT() || !matches(cred.Server, q.Server) ||
			q.State != "" && q.State != c.ticketState(cred) {
			continue
		}
		total++
		if total <= q.Offset || total-q.Offset > q.Limit || size >= maxListed {
			continue
		}
		t := c.describe(cred)
		if size += ticketEstimate(t); size < maxListed {
			list = append(list, t)
		}
	}
	return list, total
}

// Ticket returns the description of the ticket with that id, or
// ccstore.ErrNoCredential.
func (c Cache) Ticket(id string) (Dict, error) {
	cred := findTicket(c.Cache, id)
	if cred == nil {
		return nil, ccstore.ErrNoCredential
	}
	return c.describe(cred), nil
}

// TicketIDs returns the ids that are of tickets in a cache. A configuration
// entry is not a ticket.
func TicketIDs(c *ccstore.Cache, ids []string) (tickets []uuid.UUID) {
	for _, id := range ids {
		if cred := findTicket(c, id); cred != nil {
			tickets = append(tickets, cred.UUID)
		}
	}
	return tickets
}

func findTicket(c *ccstore.Cache, id string) *ccstore.Credential {
	parsed, err := uuid.Parse(id)
	if err != nil {
		return nil
	}
	cred, err := c.Credential(parsed)
	if err != nil || cred.IsConfig() {
		return nil
	}
	return cred
}

// describe returns the description of a ticket in c. Of session key and ticket
// it holds the encryption types only.
func (c Cache) describe(cred *ccstore.Credential) Dict {
	return Variants(map[string]any{
		"id":             cred.UUID.String(),
		"server":         principal(cred.Server),
		"client":         principal(cred.Client),
		"is-tgt":         cred.IsTGT(),
		"auth-time":      int64(cred.AuthTime),
		"start-time":     int64(cred.Start()),
		"end-time":       int64(cred.EndTime),
		"renew-until":    renewUntil(cred),
		"flags":          cred.Flags.Names(),
		"enctype":        int32(cred.Key.Type),
		"ticket-enctype": ticketEnctype(cred.Ticket),
		"state":          c.ticketState(cred),
		"size":           uint32(len(cred.Bytes())),
	})
}

// ticketEstimate returns roughly how many bytes a description takes in a message.
func ticketEstimate(t Dict) int {
	return 700 + len(t["server"].Value().(string)) + len(t["client"].Value().(string))
}

// ticketState returns the state of a ticket in c at the time of the view.
func (c Cache) ticketState(cred *ccstore.Credential) string {
	return string(cred.State(c.kdcTime(), c.in.terms.ExpiryWarning))
}

func renewUntil(cred *ccstore.Credential) int64 {
	if cred.Flags&ccache.FlagRenewable == 0 {
		return 0
	}
	return int64(cred.RenewTill)
}

// A derTicket holds the fields of a Ticket (RFC 4120, section 5.3) on the way to
// its encryption type.
type derTicket struct {
	Version asn1.RawValue `asn1:"explicit,tag:0"`
	Realm   asn1.RawValue `asn1:"explicit,tag:1"`
	Server  asn1.RawValue `asn1:"explicit,tag:2"`
	EncPart struct {
		Enctype int32         `asn1:"explicit,tag:0"`
		Version asn1.RawValue `asn1:"explicit,optional,tag:1"`
		Cipher  asn1.RawValue `asn1:"explicit,tag:2"`
	} `asn1:"explicit,tag:3"`
}

// ticketEnctype returns the encryption type of an encoded ticket, 0 if it cannot
// be read.
func ticketEnctype(der []byte) int32 {
	var t derTicket
	if _, err := asn1.UnmarshalWithParams(der, &t, "application,explicit,tag:1"); err != nil {
		return 0
	}
	return t.EncPart.Enctype
}
