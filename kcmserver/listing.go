package kcmserver

import (
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A listing is a cache as a client was told what is in it, which it then asks
// for one by one.
type listing struct {
	cache *ccstore.Cache
	last  uuid.UUID // what it asks for at the end
}

// listings are those of one connection, by the name of the cache.
type listings map[string]listing

// maxListings bounds what a connection keeps in memory by them.
const maxListings = 8

// add notes a listing in place of one of the same name.
func (l *listings) add(name string, one listing) {
	if *l == nil || len(*l) >= maxListings {
		*l = make(listings)
	}
	(*l)[name] = one
}

// find returns the credential as it was listed, if now still is the same cache.
func (l listings) find(name string, now *ccstore.Cache, id uuid.UUID) (*ccstore.Credential, error) {
	one, ok := l[name]
	if !ok || one.cache.UUID != now.UUID {
		return nil, ccstore.ErrNoCredential
	}
	return one.cache.Credential(id)
}

// asked notes that the client asked for a credential. With the last one the
// listing has served its purpose: a connection may stay open for days.
func (l listings) asked(name string, id uuid.UUID) {
	if one, ok := l[name]; ok && one.last == id {
		delete(l, name)
	}
}
