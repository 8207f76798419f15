package main

import (
	"bytes"
	"fmt"
	"maps"
	"slices"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A model is what must be in some caches. It never changes: each change makes
// another one, so that it is known what there was before a request and what
// there is after it.
type model struct {
	caches      map[string]cache
	defaultName string
}

// A cache is a cache as it must be.
type cache struct {
	principal ccache.Principal
	offset    int32
	creds     []credential // in the order of storing
}

// A credential is what a client stored. The one for the same server replaces it.
type credential struct {
	server string
	bytes  []byte
}

func (m model) with(name string, c cache) model {
	m.caches = maps.Clone(m.caches)
	if m.caches == nil {
		m.caches = make(map[string]cache)
	}
	m.caches[name] = c
	return m
}

func (m model) without(name string) model {
	m.caches = maps.Clone(m.caches)
	delete(m.caches, name)
	return m
}

func (m model) withDefault(name string) model {
	m.defaultName = name
	return m
}

// with returns the cache with a credential in the place of the one that it
// replaces, or else at the end.
func (c cache) with(cred credential) cache {
	c.creds = slices.Clone(c.creds)
	for i, old := range c.creds {
		if old.server == cred.server {
			c.creds[i] = cred
			return c
		}
	}
	c.creds = append(c.creds, cred)
	return c
}

func (c cache) without(server string) cache {
	c.creds = slices.DeleteFunc(slices.Clone(c.creds), func(cred credential) bool { return cred.server == server })
	return c
}

// list returns the credentials' bytes in their order.
func (c cache) list() [][]byte {
	list := make([][]byte, len(c.creds))
	for i, cred := range c.creds {
		list[i] = cred.bytes
	}
	return list
}

// compare returns an error that tells the first difference of what there is
// from the model.
func (m model) compare(got model) error {
	if m.defaultName != got.defaultName {
		return fmt.Errorf("the default is %q, it was set to %q", got.defaultName, m.defaultName)
	}
	for name := range got.caches {
		if _, ok := m.caches[name]; !ok {
			return fmt.Errorf("cache %s is there, it was destroyed or never made", name)
		}
	}
	for name, c := range m.caches {
		other, ok := got.caches[name]
		if !ok {
			return fmt.Errorf("cache %s is not there", name)
		}
		if err := c.compare(other); err != nil {
			return fmt.Errorf("cache %s: %w", name, err)
		}
	}
	return nil
}

func (c cache) compare(got cache) error {
	if !c.principal.Equal(got.principal) {
		return fmt.Errorf("it is of %v, it was made for %v", got.principal, c.principal)
	}
	if c.offset != got.offset {
		return fmt.Errorf("the offset is %d, it was set to %d", got.offset, c.offset)
	}
	return compareLists(c.list(), got.list())
}

func compareLists(want, got [][]byte) error {
	for i := range want {
		if i >= len(got) || !bytes.Equal(want[i], got[i]) {
			return fmt.Errorf("%d credentials, want %d; number %d is not what was stored there", len(got), len(want), i)
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("%d credentials, want %d", len(got), len(want))
	}
	return nil
}
