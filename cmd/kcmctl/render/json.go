package render

import (
	"encoding/json"
	"strings"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/dbus/client"
	"kcmd.org/kcmd/safetext"
)

// Names and meanings of JSON members never change, and kcmctl(1) describes them; a
// later version may add some. Times are seconds since 1970, 0 for none.

// A Cache is the JSON form of a cache.
type Cache struct {
	Name         string   `json:"name"`
	UUID         string   `json:"uuid"`
	UID          uint32   `json:"uid"`
	Principal    string   `json:"principal"`
	Default      bool     `json:"default"`
	State        string   `json:"state"`
	AuthTime     int64    `json:"auth_time"`
	StartTime    int64    `json:"start_time"`
	EndTime      int64    `json:"end_time"`
	LastEndTime  int64    `json:"last_end_time"`
	RenewUntil   int64    `json:"renew_until"`
	Flags        []string `json:"flags"`
	KDCOffset    int32    `json:"kdc_offset"` // seconds from the local clock to the KDC's
	TicketCount  uint32   `json:"ticket_count"`
	Changed      int64    `json:"changed"`
	AutoRenew    bool     `json:"auto_renew"`
	RenewalState string   `json:"renewal_state"`
	NextRenewal  int64    `json:"next_renewal"`
	RenewalError string   `json:"renewal_error"`
	PreauthType  int32    `json:"preauth_type"`
	RefreshTime  int64    `json:"refresh_time"`
	Impersonator string   `json:"impersonator"`

	PasswordExpires int64    `json:"password_expires"`
	Tickets         []Ticket `json:"tickets,omitzero"` // of "show"
}

// A Ticket is the JSON form of a ticket.
type Ticket struct {
	ID                string   `json:"id"`
	Server            string   `json:"server"`
	Client            string   `json:"client"`
	TGT               bool     `json:"tgt"`
	State             string   `json:"state"`
	AuthTime          int64    `json:"auth_time"`
	StartTime         int64    `json:"start_time"`
	EndTime           int64    `json:"end_time"`
	RenewUntil        int64    `json:"renew_until"`
	Flags             []string `json:"flags"`
	Enctype           int32    `json:"enctype"` // of the session key (RFC 3961, section 8)
	EnctypeName       string   `json:"enctype_name"`
	TicketEnctype     int32    `json:"ticket_enctype"`
	TicketEnctypeName string   `json:"ticket_enctype_name"`
	Size              uint32   `json:"size"` // bytes in the store
}

// Destroyed is the JSON form of the result of "destroy".
type Destroyed struct {
	Destroyed uint32 `json:"destroyed"` // caches
}

// Removed is the JSON form of the result of "remove".
type Removed struct {
	Removed uint32 `json:"removed"` // tickets
}

// NewCache returns the JSON form of a cache of uid.
func NewCache(c *client.Cache, uid uint32) Cache {
	return Cache{
		Name: c.Name, UUID: c.UUID, UID: uid, Principal: c.ClientPrincipal, Default: c.IsDefault, State: c.State,
		AuthTime: seconds(c.AuthTime), StartTime: seconds(c.StartTime), EndTime: seconds(c.EndTime),
		LastEndTime: seconds(c.LastEndTime), RenewUntil: seconds(c.RenewUntil), Flags: list(c.Flags),
		KDCOffset: c.KdcOffset, TicketCount: c.TicketCount, Changed: seconds(c.LastChanged),
		AutoRenew: c.AutoRenew, RenewalState: c.RenewalState, NextRenewal: seconds(c.NextRenewal),
		RenewalError: c.RenewalError, PreauthType: c.PreauthType, RefreshTime: seconds(c.RefreshTime),
		Impersonator: c.Impersonator, PasswordExpires: seconds(c.PasswordExpires),
	}
}

// NewCacheWithTickets returns the JSON form of a cache with its tickets.
func NewCacheWithTickets(c *client.Cache, uid uint32, tickets []client.Ticket) Cache {
	form := NewCache(c, uid)
	form.Tickets = []Ticket{}
	for i := range tickets {
		form.Tickets = append(form.Tickets, NewTicket(&tickets[i]))
	}
	return form
}

// NewTicket returns the JSON form of a ticket.
func NewTicket(t *client.Ticket) Ticket {
	return Ticket{
		ID: t.ID, Server: t.Server, Client: t.Client, TGT: t.IsTGT, State: t.State,
		AuthTime: seconds(t.AuthTime), StartTime: seconds(t.StartTime), EndTime: seconds(t.EndTime),
		RenewUntil: seconds(t.RenewUntil), Flags: list(t.Flags),
		Enctype: t.Enctype, EnctypeName: enctype(t.Enctype),
		TicketEnctype: t.TicketEnctype, TicketEnctypeName: enctype(t.TicketEnctype), Size: t.Size,
	}
}

// enctype returns the name of an encryption type, "" for 0, which is unknown.
func enctype(n int32) string {
	if n == 0 {
		return ""
	}
	return ccache.EnctypeName(int16(n))
}

// seconds returns a time in seconds since 1970, 0 for none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.Unix()
}

// list returns a list that is [] in JSON, not null, if it is empty.
func list[T any](l []T) []T {
	if l == nil {
		return []T{}
	}
	return l
}

// JSON writes a value over several lines.
func (p *Page) JSON(value any) {
	text, err := json.MarshalIndent(value, "", "  ")
	if err != nil {
		p.fail(err)
		return
	}
	// Line by line: for JSON a newline is unsafe as well.
	for line := range strings.SplitSeq(string(text), "\n") {
		p.printf("%s\n", styled(safetext.JSON([]byte(line))))
	}
}

// JSONLine writes a value in one line.
func (p *Page) JSONLine(value any) {
	text, err := json.Marshal(value)
	if err != nil {
		p.fail(err)
		return
	}
	p.printf("%s\n", styled(safetext.JSON(text)))
}

func (p *Page) fail(err error) {
	if p.err == nil {
		p.err = err
	}
}
