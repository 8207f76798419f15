package kcmserver

import (
	"sync"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
)

// A listing is the snapshot of a cache behind a reply to GET_CRED_UUID_LIST. The
// client then asks for the credentials one by one.
type listing struct {
	cache   *ccstore.Cache
	last    uuid.UUID // the last credential in the reply
	cost    int64     // in bytes, charged to the account
	account budget.Account
	until   time.Time
}

// listingLife is how long a listing is kept. Clients iterate at once.
const listingLife = time.Minute

// The memory of a listing, and of each credential in addition to its bytes.
const (
	listingSize    = 4 << 10
	credentialSize = 512
)

// listings has the listings of all connections, by the UUID of the cache. They are
// charged to accounts, since a listing keeps removed credentials in memory.
type listings struct {
	memory *budget.Pool

	mu      sync.Mutex
	byCache map[uuid.UUID]map[*conn]listing
	byConn  map[*conn]map[uuid.UUID]bool
	expiry  *time.Timer
}

func newListings(memory *budget.Pool) *listings {
	return &listings{
		memory:  memory,
		byCache: make(map[uuid.UUID]map[*conn]listing),
		byConn:  make(map[*conn]map[uuid.UUID]bool),
	}
}

// add keeps a listing, and drops an earlier one of the same cache and connection. If
// the account has no memory left, it drops the other listings of the connection. If
// there is still none, it does not keep the listing; the client then gets the
// credentials that the cache has at that time.
func (l *listings) add(c *conn, cache *ccstore.Cache, last uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.drop(c, cache.UUID)
	cost := cache.Size() + int64(cache.Len())*credentialSize + listingSize
	if l.memory.Take(c.account, cost) != nil {
		l.dropConn(c)
		if l.memory.Take(c.account, cost) != nil {
			return
		}
	}
	if l.byCache[cache.UUID] == nil {
		l.byCache[cache.UUID] = make(map[*conn]listing)
	}
	if l.byConn[c] == nil {
		l.byConn[c] = make(map[uuid.UUID]bool)
	}
	l.byCache[cache.UUID][c] = listing{cache, last, cost, c.account, time.Now().Add(listingLife)}
	l.byConn[c][cache.UUID] = true
	if l.expiry == nil {
		l.expiry = time.AfterFunc(listingLife, l.expire)
	}
}

// find returns a credential of a listing, or ErrNoCredential. With the last one it
// drops the listing, since a connection may stay open for days.
func (l *listings) find(c *conn, cache, id uuid.UUID) (*ccstore.Credential, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	listed, ok := l.byCache[cache][c]
	if !ok {
		return nil, ccstore.ErrNoCredential
	}
	if listed.last == id {
		l.drop(c, cache)
	}
	return listed.cache.Credential(id)
}

// end drops the listings of a connection.
func (l *listings) end(c *conn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dropConn(c)
}

// destroyed drops the listings of a cache.
func (l *listings) destroyed(cache uuid.UUID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.byCache[cache] {
		l.drop(c, cache)
	}
}

// expire drops the listings whose time is over, and runs again as long as there are
// listings.
func (l *listings) expire() {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := time.Now()
	for cache, conns := range l.byCache {
		for c, listed := range conns {
			if now.After(listed.until) {
				l.drop(c, cache)
			}
		}
	}
	l.expiry = nil
	if len(l.byCache) > 0 {
		l.expiry = time.AfterFunc(listingLife, l.expire)
	}
}

// dropConn drops the listings of a connection. l.mu is held.
func (l *listings) dropConn(c *conn) {
	for cache := range l.byConn[c] {
		l.drop(c, cache)
	}
}

// drop drops a listing, if there is one. l.mu is held.
func (l *listings) drop(c *conn, cache uuid.UUID) {
	listed, ok := l.byCache[cache][c]
	if !ok {
		return
	}
	l.memory.Give(listed.account, listed.cost)
	if delete(l.byCache[cache], c); len(l.byCache[cache]) == 0 {
		delete(l.byCache, cache)
	}
	if delete(l.byConn[c], cache); len(l.byConn[c]) == 0 {
		delete(l.byConn, c)
	}
}
