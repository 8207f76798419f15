package dbus

import (
	"math"
	"slices"
	"strings"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/introspection"
)

var collectionInterface = &iface{Interface: introspection.Collection, properties: collectionProperties, methods: methods{
	"SetDefault": {manage, changing(setDefault)},
	"DestroyAll": {manage, changing(destroyAll)},

	"AcquireWithPassword": {manage, waiting(acquireWithPassword)},
	"AcquireWithKeytab":   {manage, waiting(acquireWithKeytab)},
	"ChangePassword":      {manage, waiting(changePassword)},
}}

var cacheInterface = &iface{Interface: introspection.Cache, properties: cacheProperties, methods: methods{
	"ListTickets":   {visible, answers(listTickets)},
	"GetTicket":     {visible, answers(getTicket)},
	"RemoveTickets": {manage, changingCache(removeTickets)},
	"SwitchTo":      {manage, changingCache(switchTo)},
	"Destroy":       {manage, changingCache(destroy)},
	"Renew":         {manage, waiting(renew)},
	"Validate":      {manage, waiting(validate)},
	"Verify":        {manage, waiting(verify)},
}, writers: map[string]writer{
	"AutoRenew": {"b", setAutoRenew},
}}

func collectionProperties(r *reading) map[string]any { return r.collection.Properties() }

func cacheProperties(r *reading) map[string]any { return r.cache.Properties() }

func setDefault(q *request, tx *ccstore.Tx, in struct{ Cache view.Path }) (any, error) {
	place, ok := view.ParsePath(string(in.Cache), q.scope)
	switch {
	case !ok || place.Kind != view.AtCache:
		return nil, unknownObject
	case place.UID != q.place.UID:
		return nil, invalidArgs("the cache is in another collection")
	}
	cache, err := tx.CacheByUUID(place.Cache)
	if err != nil {
		return nil, err
	}
	return switchTo(tx, cache, none{})
}

func destroyAll(_ *request, tx *ccstore.Tx, _ none) (any, error) {
	destroyed := uint32(0)
	for _, cache := range tx.Caches() {
		if err := tx.Destroy(cache.Name); err != nil {
			return nil, err
		}
		destroyed++
	}
	return destroyed, nil
}

func switchTo(tx *ccstore.Tx, cache *ccstore.Cache, _ none) (any, error) {
	tx.SetDefault(cache.Name)
	return nil, nil
}

func destroy(tx *ccstore.Tx, cache *ccstore.Cache, _ none) (any, error) {
	return nil, tx.Destroy(cache.Name)
}

func removeTickets(tx *ccstore.Tx, cache *ccstore.Cache, in struct{ IDs []string }) (any, error) {
	removed, err := tx.RemoveByUUID(cache.Name, view.TicketIDs(cache, in.IDs))
	return uint32(removed), err
}

// ticketOptions are the options of ListTickets.
type ticketOptions struct {
	Offset  uint32 `option:"offset"`
	Limit   uint32 `option:"limit"`
	Server  string `option:"server"`
	State   string `option:"state"`
	TGTOnly bool   `option:"tgt-only"`
}

// SetDefaults sets the values of options that are left out.
func (o *ticketOptions) SetDefaults() { o.Limit = math.MaxUint32 }

func listTickets(r *reading, in struct{ Options ticketOptions }) ([]any, error) {
	o := in.Options
	if o.State != "" && !slices.Contains(view.States, o.State) {
		return nil, invalidArgs("option \"state\": %q is not a state of a ticket; allowed: %s", view.Text(o.State), strings.Join(view.States, ", "))
	}
	list, total := r.cacheNow().ListTickets(view.TicketQuery(o))
	return []any{list, total}, nil
}

func getTicket(r *reading, in struct{ ID string }) ([]any, error) {
	t, err := r.cacheNow().Ticket(in.ID)
	if err != nil {
		return nil, err
	}
	return []any{t}, nil
}

// cacheNow returns the cache as it reads now: the states of its tickets are not
// properties, and change without a signal.
func (r *reading) cacheNow() view.Cache {
	cache, err := r.collection.At(r.bus.Clock.Now()).CacheByUUID(r.cache.UUID)
	if err != nil {
		panic(err) // it is in the same collection
	}
	return cache
}
