package dbus

import (
	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/introspection"
)

var collectionInterface = &iface{introspection.Collection, map[string]method{
	"SetDefault": {change: setDefault},
	"DestroyAll": {change: destroyAll},
}}

// properties returns the properties of the interface Collection.
func (c collection) properties(*bus, *call) map[string]any {
	caches := []godbus.ObjectPath{}
	defaultCache, defaultName := godbus.ObjectPath("/"), ""
	tickets, bytes := 0, int64(0)
	for _, one := range c.caches() {
		caches = append(caches, one.path())
		if one.isDefault() {
			defaultCache, defaultName = one.path(), one.name()
		}
		tickets += one.Tickets()
		bytes += one.Size()
	}
	return map[string]any{
		"UID":              c.uid(),
		"Caches":           caches,
		"DefaultCache":     defaultCache,
		"DefaultCacheName": defaultName,
		"NextExpiry":       c.nextExpiry(),
		"TicketCount":      uint32(tickets),
		"BytesUsed":        uint64(bytes),
		"MaxCaches":        c.limits.Caches,
		"MaxTickets":       c.limits.Tickets,
		"MaxBytes":         c.limits.Bytes,
	}
}

// nextExpiry returns the earliest end of a TGT that has not come yet, 0 if there
// is none.
func (c collection) nextExpiry() int64 {
	var next int64
	for _, one := range c.caches() {
		if end := one.tgtEnd(); end > one.kdcTime() && (next == 0 || end < next) {
			next = end
		}
	}
	return next
}

// nextChange returns when a property changes though nothing is stored, in
// seconds since 1970, 0 for never.
func (c collection) nextChange() int64 {
	var next int64
	for _, one := range c.caches() {
		tgt := one.TGT()
		if tgt == nil {
			continue
		}
		for _, t := range turningPoints(tgt, c.warning) {
			t -= int64(one.KDCOffset)
			if t > c.at && (next == 0 || t < next) {
				next = t
			}
		}
	}
	return next
}

func setDefault(b *bus, c *call) ([]any, error) {
	where, ok := parsePath(string(c.body[0].(godbus.ObjectPath)), c.view)
	switch {
	case !ok || where.kind != kindCache:
		return nil, unknownObject
	case where.uid != c.where.uid:
		return nil, invalidArgs("the cache is not one of this collection")
	}
	c.where.cache = where.cache
	return switchTo(b, c)
}

func destroyAll(b *bus, c *call) ([]any, error) {
	var destroyed uint32
	err := b.store.Update(b.ctx, c.owner(), func(tx *ccstore.Tx) error {
		destroyed = 0
		for _, one := range tx.Caches() {
			if err := tx.Destroy(one.Name); err != nil {
				return err
			}
			destroyed++
		}
		return nil
	})
	return []any{destroyed}, err
}
