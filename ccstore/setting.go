package ccstore

import "kcmd.org/kcmd/ccstore/ccache"

// Setting returns the value of a configuration entry of the cache: one of the whole
// cache, or one about a server, as libkrb5 names both. It is false if there is none.
func (c *Cache) Setting(name string, about ...string) ([]byte, bool) {
	server := ccache.ConfigServer(name, about...)
	cred, err := c.Find(&ccache.Match{Server: &server})
	if err != nil {
		return nil, false
	}
	return cred.Ticket, true
}
