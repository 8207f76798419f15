package view

import (
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
)

// Values as D-Bus carries them.
type (
	// A Variant is a value of any type.
	Variant = godbus.Variant

	// A Dict holds properties or options by name.
	Dict = map[string]godbus.Variant
)

// NewVariant returns a value as D-Bus carries it.
func NewVariant(value any) Variant { return godbus.MakeVariant(value) }

// Variants returns values in the shape that D-Bus has for them.
func Variants(values map[string]any) Dict {
	d := make(Dict, len(values))
	for name, value := range values {
		d[name] = NewVariant(value)
	}
	return d
}

// Limits are those of each collection. 0 is none.
type Limits struct {
	Caches  uint32
	Tickets uint32 // in a cache
	Bytes   uint64
}

// Terms are the settings of the service that properties depend on.
type Terms struct {
	ExpiryWarning time.Duration // a TGT is "expiring" this long before its end
	Limits        Limits
	Renews        bool // the service renews TGTs
}

// A Collection is a snapshot of the caches of one owner as it reads at a moment.
// It never changes.
type Collection struct {
	*ccstore.Collection
	at    time.Time // of the local clock, in whole seconds: states are as of then
	terms *Terms
}

// New returns the view of a snapshot at a time by the local clock.
func New(snapshot *ccstore.Collection, at time.Time, terms *Terms) Collection {
	return Collection{snapshot, at.Truncate(time.Second), terms}
}

// At returns c as it reads at another time.
func (c Collection) At(at time.Time) Collection { return New(c.Collection, at, c.terms) }

// UID returns the uid of the owner.
func (c Collection) UID() uint32 { return c.Owner().UID }

// Path returns the object path.
func (c Collection) Path() Path { return CollectionPath(c.UID()) }

// Caches returns the caches, the default one first.
func (c Collection) Caches() []Cache {
	var list []Cache
	for _, cache := range c.Collection.Caches() {
		list = append(list, Cache{cache, c})
	}
	return list
}

// Cache returns the cache of that name.
func (c Collection) Cache(name string) (Cache, error) {
	cache, err := c.Collection.Cache(name)
	return Cache{cache, c}, err
}

// CacheByUUID returns the cache with that UUID.
func (c Collection) CacheByUUID(id [16]byte) (Cache, error) {
	cache, err := c.Collection.CacheByUUID(id)
	return Cache{cache, c}, err
}

// Properties returns the properties of the interface Collection.
func (c Collection) Properties() map[string]any {
	caches := []Path{}
	defaultCache, defaultName := Path("/"), ""
	tickets, bytes := 0, int64(0)
	for _, cache := range c.Caches() {
		caches = append(caches, cache.Path())
		if cache.IsDefault() {
			defaultCache, defaultName = cache.Path(), cache.name()
		}
		tickets += cache.Tickets()
		bytes += cache.Size()
	}
	return map[string]any{
		"UID":              c.UID(),
		"Caches":           caches,
		"DefaultCache":     defaultCache,
		"DefaultCacheName": defaultName,
		"NextExpiry":       c.nextExpiry(),
		"TicketCount":      uint32(tickets),
		"BytesUsed":        uint64(bytes),
		"MaxCaches":        c.terms.Limits.Caches,
		"MaxTickets":       c.terms.Limits.Tickets,
		"MaxBytes":         c.terms.Limits.Bytes,
	}
}

// nextExpiry returns the earliest future end of a TGT, by its KDC's clock in
// seconds since 1970, 0 if there is none.
func (c Collection) nextExpiry() int64 {
	next := int64(never)
	for _, cache := range c.Caches() {
		if tgt := cache.TGT(); tgt != nil && !tgt.IsExpired(cache.kdcTime()) {
			next = min(next, cache.tgtEnd())
		}
	}
	if next == never {
		return 0
	}
	return next
}
