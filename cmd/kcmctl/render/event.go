package render

import (
	"strings"
	"time"
)

// An Event is the JSON form of an event. Members without a meaning for an event are
// left out.
type Event struct {
	Time      int64    `json:"time"`
	Event     string   `json:"event"`
	UID       uint32   `json:"uid"`
	Bus       string   `json:"bus,omitempty"`   // of "watching"
	Caches    []string `json:"caches,omitzero"` // of "watching": their names
	Cache     string   `json:"cache,omitempty"` // its name
	Principal string   `json:"principal,omitempty"`
	State     string   `json:"state,omitempty"` // of the cache
	ID        string   `json:"id,omitempty"`    // of a ticket
	Server    string   `json:"server,omitempty"`
	EndTime   int64    `json:"end_time,omitempty"` // of the ticket, or of the cache's TGT
	Reason    string   `json:"reason,omitempty"`
	Error     string   `json:"error,omitempty"` // name of an error on D-Bus
	Message   string   `json:"message,omitempty"`
	Next      int64    `json:"next,omitempty"` // when a renewal is tried again
	PID       uint32   `json:"pid,omitempty"`  // of the program that looks for a ticket
	KDCOffset int32    `json:"-"`
}

// Seconds returns a time in seconds since 1970, 0 for none.
func Seconds(t time.Time) int64 { return seconds(t) }

// Event writes an event as a line.
func (p *Page) Event(e Event) {
	p.printf("%s  %s\n", p.paint(dim, time.Unix(e.Time, 0).In(p.Now.Location()).Format("15:04:05")), p.event(e))
}

func (p *Page) event(e Event) styled {
	who := p.paint(bold, e.Cache)
	if e.Principal != "" {
		who += p.paint(plain, " of "+e.Principal)
	}
	ends := ""
	if e.EndTime != 0 {
		ends = ", ends " + p.when(time.Unix(e.EndTime, 0), e.KDCOffset)
	}
	state := stateCell(e.State)
	switch e.Event {
	case "watching":
		return p.paint(plain, watching(e))
	case "cache-added":
		return who + ": new cache, " + p.paint(state.colour, state.text) + p.paint(plain, ends)
	case "cache-removed":
		return who + ": destroyed"
	case "principal-changed":
		return who + ": has another principal"
	case "state-changed":
		return who + ": " + p.paint(state.colour, state.text) + p.paint(plain, ends)
	case "default-changed":
		return who + ": is the default cache"
	case "daemon-stopped":
		return p.paint(yellow, "kcmd has left the bus")
	case "daemon-started":
		return p.paint(green, "kcmd is back on the bus")
	case "sign-in-wanted":
		return p.paint(yellow, wanted(e))
	}
	return who + ": " + p.ticketEvent(e, ends)
}

func watching(e Event) string {
	if len(e.Caches) == 0 {
		return "watching the " + e.Bus + " bus, no caches"
	}
	return "watching the " + e.Bus + " bus: " + strings.Join(e.Caches, ", ")
}

// wanted says that a program looks for a ticket in vain.
func wanted(e Event) string {
	text := "a program looks for a ticket"
	if e.PID != 0 {
		text = "process " + decimal(e.PID) + " looks for a ticket"
	}
	if e.Server != "" {
		text += " for " + e.Server
	}
	return text + ": " + reasonWords(e.Reason)
}

// reasonWords have the reasons of SignInWanted and of TicketsRemoved.
func reasonWords(reason string) string {
	switch reason {
	case "no-cache":
		return "there is no cache; run kinit"
	case "no-tgt":
		return "the cache has no TGT; run kinit"
	case "expired":
		return "the TGT has expired; run kinit"
	case "reinitialized":
		return "the cache is filled again"
	}
	return reason
}

func (p *Page) ticketEvent(e Event, ends string) styled {
	switch e.Event {
	case "ticket-added":
		return p.paint(plain, "new ticket "+e.Server+ends)
	case "ticket-removed":
		return p.paint(plain, "ticket "+e.Server+" removed ("+reasonWords(e.Reason)+")")
	case "ticket-expiring":
		return p.paint(yellow, "the TGT expires soon"+ends)
	case "ticket-expired":
		return p.paint(red, "the TGT has expired")
	case "ticket-renewed":
		return p.paint(green, "the TGT is renewed"+ends)
	case "renewal-failed":
		next := ", not tried again"
		if e.Next != 0 {
			next = ", tried again " + p.when(time.Unix(e.Next, 0), 0)
		}
		return p.paint(red, "the TGT cannot be renewed: "+e.Message+next)
	}
	return p.paint(plain, e.Event)
}
