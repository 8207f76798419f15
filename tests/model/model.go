package model

import (
	"bytes"
	"fmt"
	"maps"
	"slices"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Model is the caches of one client. Its methods return changed copies.
type Model struct {
	Caches  map[string]Cache // by name
	Default string           // name of the default cache, "" if the client does not read it
}

// A Cache is the contents of one cache.
type Cache struct {
	Principal ccache.Principal
	Offset    int32                // of the KDC's clock, in seconds
	Creds     []*ccache.Credential // in the order of the server's list
}

// With returns a model in which a cache is this one.
func (m Model) With(name string, c Cache) Model {
	m.Caches = maps.Clone(m.Caches)
	if m.Caches == nil {
		m.Caches = make(map[string]Cache)
	}
	m.Caches[name] = c
	return m
}

// Without returns a model without a cache.
func (m Model) Without(name string) Model {
	m.Caches = maps.Clone(m.Caches)
	delete(m.Caches, name)
	return m
}

// Has reports whether there is a cache of that name.
func (m Model) Has(name string) bool {
	_, ok := m.Caches[name]
	return ok
}

// String counts the contents.
func (m Model) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "default %q", m.Default)
	for _, name := range slices.Sorted(maps.Keys(m.Caches)) {
		c := m.Caches[name]
		fmt.Fprintf(&b, ", %s of %d credentials (offset %d)", name, len(c.Creds), c.Offset)
	}
	return b.String()
}

// With returns a cache with a credential, in the place of one for the same server
// or at the end.
func (c Cache) With(cred *ccache.Credential) Cache {
	c.Creds = slices.Clone(c.Creds)
	for i, old := range c.Creds {
		if old.Server.Equal(cred.Server) {
			c.Creds[i] = cred
			return c
		}
	}
	c.Creds = append(c.Creds, cred)
	return c
}

// Without returns a cache without the credentials for a server.
func (c Cache) Without(server ccache.Principal) Cache {
	c.Creds = slices.DeleteFunc(slices.Clone(c.Creds), func(cred *ccache.Credential) bool { return cred.Server.Equal(server) })
	return c
}

// HasTickets reports whether a cache holds more than configuration entries.
func (c Cache) HasTickets() bool {
	return slices.ContainsFunc(c.Creds, func(cred *ccache.Credential) bool { return !cred.IsConfig() })
}

// Compare returns an error that names the first difference of what a server holds
// from the model, nil if there is none.
func (m Model) Compare(got Model) error {
	if m.Default != got.Default {
		return fmt.Errorf("the default cache is %q, want %q", got.Default, m.Default)
	}
	for name := range got.Caches {
		if !m.Has(name) {
			return fmt.Errorf("cache %s exists, but was destroyed or never created", name)
		}
	}
	for name, c := range m.Caches {
		other, ok := got.Caches[name]
		if !ok {
			return fmt.Errorf("cache %s is missing", name)
		}
		if err := c.compare(other); err != nil {
			return fmt.Errorf("cache %s: %w", name, err)
		}
	}
	return nil
}

func (c Cache) compare(got Cache) error {
	if !c.Principal.Equal(got.Principal) {
		return fmt.Errorf("the principal is %v, want %v", got.Principal, c.Principal)
	}
	if c.Offset != got.Offset {
		return fmt.Errorf("the KDC offset is %d, want %d", got.Offset, c.Offset)
	}
	return CompareCreds(c.Creds, got.Creds)
}

// CompareCreds returns an error unless the lists are equal, byte by byte.
func CompareCreds(want, got []*ccache.Credential) error {
	for i := range want {
		if i >= len(got) || !bytes.Equal(want[i].Bytes(), got[i].Bytes()) {
			return fmt.Errorf("%d credentials, want %d; number %d is missing or differs", len(got), len(want), i)
		}
	}
	if len(got) > len(want) {
		return fmt.Errorf("%d credentials, want %d", len(got), len(want))
	}
	return nil
}
