package ccstore

import (
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
)

// An Event tells how one collection changed: by a commit of this store, or by
// those of another writer, which the store finds when it loads the collection
// again. Changes are in the order in which they were made, or the difference of
// Before and After; there are none if only the revision differs. An event with
// notices has no changes: only time has passed (Store.Announce).
type Event struct {
	Owner   Owner
	Before  *Collection // what readers saw until now
	After   *Collection // what they see next
	Changes []Change
	Notices []Notice
}

// A Notice says that the TGT of a cache (Cache.TGT) has come into another state,
// although nothing was stored.
type Notice struct {
	Cache      uuid.UUID
	Credential *Credential
	State      ccache.State
	Again      bool // no step forward: the wall clock was set back, and may have come here before
}

// A Change is one thing that a commit did.
type Change struct {
	Kind       ChangeKind
	Cache      uuid.UUID   // all but DefaultChanged
	Credential *Credential // CredentialAdded, CredentialRemoved
	Reason     Reason      // CredentialRemoved, CacheDestroyed
}

// ChangeKind tells what a change did.
type ChangeKind int

// What a change does.
const (
	DefaultChanged    ChangeKind = iota + 1 // another name is the default
	CacheCreated                            // a new cache; its credentials follow as CredentialAdded
	CacheChanged                            // principal or KDC offset were set
	CacheDestroyed                          // a cache is gone, its credentials with it
	CredentialAdded                         // a credential was stored
	CredentialRemoved                       // a credential is gone, the cache is not
)

// Reason tells why a credential or a cache was removed.
type Reason string

// Why a credential or a cache was removed.
const (
	Removed       Reason = "removed"       // a client asked for it
	Replaced      Reason = "replaced"      // the same ticket was stored again
	Reinitialized Reason = "reinitialized" // the cache was filled anew
	Purged        Reason = "purged"        // the store made room
	Reaped        Reason = "reaped"        // its tickets had ended long ago
)
