package model

import (
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A Change is a request that changes caches, and the model after it.
type Change struct {
	Do    func(*client.Client) error
	After Model
}

// Initialize makes an empty cache.
func (m Model) Initialize(name string, principal ccache.Principal) Change {
	return Change{
		func(c *client.Client) error { return c.Initialize(name, principal) },
		m.With(name, Cache{Principal: principal}),
	}
}

// Replace makes a cache with this content.
func (m Model) Replace(name string, cache Cache) Change {
	return Change{
		func(c *client.Client) error { return c.Replace(name, cache.Offset, cache.Principal, cache.Creds) },
		m.With(name, cache),
	}
}

// Store stores a credential in a cache that exists, as the other changes below do.
func (m Model) Store(name string, cred *ccache.Credential) Change {
	return Change{
		func(c *client.Client) error { return c.Store(name, cred) },
		m.With(name, m.Caches[name].With(cred)),
	}
}

// Remove removes the credentials for a server.
func (m Model) Remove(name string, server ccache.Principal) Change {
	return Change{
		func(c *client.Client) error { return c.RemoveCred(name, &ccache.Match{Server: &server}) },
		m.With(name, m.Caches[name].Without(server)),
	}
}

// Destroy destroys a cache.
func (m Model) Destroy(name string) Change {
	return Change{func(c *client.Client) error { return c.Destroy(name) }, m.Without(name)}
}

// Move moves a cache.
func (m Model) Move(from, to string) Change {
	after := m
	if from != to {
		after = m.Without(from).With(to, m.Caches[from])
	}
	return Change{func(c *client.Client) error { return c.MoveCache(from, to) }, after}
}

// SetOffset sets the KDC offset of a cache.
func (m Model) SetOffset(name string, seconds int32) Change {
	cache := m.Caches[name]
	cache.Offset = seconds
	return Change{func(c *client.Client) error { return c.SetKDCOffset(name, seconds) }, m.With(name, cache)}
}

// SetDefault names the default cache.
func (m Model) SetDefault(name string) Change {
	m.Default = name
	return Change{func(c *client.Client) error { return c.SetDefaultCache(name) }, m}
}
