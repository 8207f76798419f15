package ccstore

import (
	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
)

// An Event tells how one collection changed: by a commit of this store, or by
// those of another writer, which the store finds when it loads the collection
// again. Changes are in the order in which they were made, or the difference of
// Before and After; there are none if only the revision differs. An event with
// notices has no changes (Store.Announce).
type Event struct {
	Owner   Owner
	Before  *Collection // what readers saw until now
	After   *Collection // what they see next
	Changes []Change
	Notices []Notice
}

// A Notice says something that is not a change: about the TGT of a cache (Cache.TGT), or
// about a process that looks for one (SignInWanted).
type Notice struct {
	Kind       NoticeKind
	Cache      uuid.UUID   // all but SignInWanted
	Credential *Credential // all but SignInWanted

	State ccache.State // StateReached
	Again bool         // StateReached: no step forward; the wall clock was set back, and may have come here before

	Former uuid.UUID // Renewed: the ticket in whose place it is

	Reason string // RenewalFailed: a name
	Text   string // RenewalFailed: for people
	Next   int64  // RenewalFailed: when it is tried again, by the local clock in seconds since 1970, or Never

	PID    int32      // SignInWanted: the process, 0 if it is unknown
	Server string     // SignInWanted: the service, as a client chose it; "" if it is unknown
	Want   WantReason // SignInWanted
}

// NoticeKind tells what a notice says.
type NoticeKind int

// What a notice says.
const (
	StateReached  NoticeKind = iota // the TGT has come into another state
	Renewed                         // the TGT was just renewed
	RenewalFailed                   // the TGT could not be renewed
	SignInWanted                    // a process looks for a ticket, and its user has none that is of use
)

// WantReason tells why a user has to sign in.
type WantReason string

// Why a user has to sign in.
const (
	NoCache    WantReason = "no-cache" // there is no cache
	NoTGT      WantReason = "no-tgt"   // the cache has no TGT
	TGTExpired WantReason = "expired"  // it has an expired one
)

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
	CacheChanged                            // principal, KDC offset or renewal were set
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
