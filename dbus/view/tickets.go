package view

import (
	"maps"
	"slices"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/introspection"
)

// MaxTickets is how many tickets a signal lists.
const MaxTickets = 256

// A removedTicket is an element of the list in TicketsRemoved.
type removedTicket struct {
	ID     string
	Server string
}

// ticketChanges are the tickets that a cache got and lost.
type ticketChanges struct {
	added   []Dict
	removed map[ccstore.Reason][]removedTicket
}

// ticketSignals returns TicketsRemoved and TicketsAdded for each cache that is
// still there. A ticket that both came and went is left out.
func ticketSignals(before, after Collection, changes []ccstore.Change) []Signal {
	byCache := make(map[uuid.UUID]*ticketChanges)
	for _, change := range changes {
		cache, err := after.CacheByUUID(change.Cache)
		if err != nil || hasTicket(before, change) == hasTicket(after, change) {
			continue
		}
		t := byCache[change.Cache]
		if t == nil {
			t = &ticketChanges{removed: make(map[ccstore.Reason][]removedTicket)}
			byCache[change.Cache] = t
		}
		t.add(change, cache)
	}
	var list []Signal
	for _, cache := range after.Caches() {
		if t := byCache[cache.UUID]; t != nil {
			list = append(list, t.signals(cache)...)
		}
	}
	return list
}

// hasTicket reports whether the ticket of a change is in c.
func hasTicket(c Collection, change ccstore.Change) bool {
	cache, err := c.CacheByUUID(change.Cache)
	if err != nil {
		return false
	}
	_, err = cache.Credential(change.Credential.UUID)
	return err == nil
}

func (t *ticketChanges) add(change ccstore.Change, cache Cache) {
	switch change.Kind {
	case ccstore.CredentialAdded:
		if len(t.added) < MaxTickets {
			t.added = append(t.added, cache.describe(change.Credential))
		}
	case ccstore.CredentialRemoved:
		if list := t.removed[change.Reason]; len(list) < MaxTickets {
			t.removed[change.Reason] = append(list, removedTicket{change.Credential.UUID.String(), principal(change.Credential.Server)})
		}
	}
}

func (t *ticketChanges) signals(cache Cache) []Signal {
	var list []Signal
	for _, reason := range slices.Sorted(maps.Keys(t.removed)) {
		list = append(list, cache.signal(aboutTickets, "TicketsRemoved", t.removed[reason], string(reason)))
	}
	if len(t.added) > 0 {
		list = append(list, cache.signal(aboutTickets, "TicketsAdded", t.added))
	}
	return list
}

// signal returns a signal of the interface Cache.
func (c Cache) signal(about topic, member string, body ...any) Signal {
	return Signal{Path: c.Path(), Interface: introspection.Cache.Name, Member: member, Body: body, uid: c.in.UID(), topic: about}
}
