package model

import (
	"errors"
	"fmt"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// Read returns what a server holds of the named caches, and the name of the default
// cache if that is wanted.
func Read(c *client.Client, names []string, withDefault bool) (m Model, err error) {
	for _, name := range names {
		cache, err := ReadCache(c, name)
		if errors.Is(err, kcm.FCCNoFile) {
			continue
		}
		if err != nil {
			return Model{}, fmt.Errorf("cannot read cache %s: %w", name, err)
		}
		m = m.With(name, cache)
	}
	if withDefault {
		m.Default, err = c.GetDefaultCache()
	}
	return m, err
}

// ReadCache returns what a server holds of a cache. It fails with kcm.FCCNoFile if
// there is none.
func ReadCache(c *client.Client, name string) (cache Cache, err error) {
	if cache.Principal, err = c.GetPrincipal(name); err != nil {
		return cache, err
	}
	if cache.Offset, err = c.GetKDCOffset(name); err != nil {
		return cache, err
	}
	cache.Creds, err = c.GetCredList(name)
	return cache, err
}
