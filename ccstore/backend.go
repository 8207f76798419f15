package ccstore

import (
	"cmp"
	"context"
	"math"

	"github.com/google/uuid"
)

// A Backend keeps collections where they outlive the memory of the store. Its
// methods may be called by several goroutines at once.
type Backend interface {
	// Load returns what is stored for owner; a collection that was never
	// written is empty and at revision 0.
	Load(ctx context.Context, owner Owner) (*Record, error)

	// Commit makes all changes or none, and returns once they are durable.
	// It fails with ErrConflict if the collection is not at c.Revision, and
	// wraps ErrOutcomeUnknown if the changes may or may not be stored.
	Commit(ctx context.Context, c *Commit) error

	// Owners returns every owner who has a cache, in order.
	Owners(ctx context.Context) ([]Owner, error)

	// Due returns the caches in use whose tickets end before or at a time, in
	// seconds since 1970: the earliest first, and at most limit of them.
	Due(ctx context.Context, before int64, limit int) ([]Deadline, error)

	// Close releases what the backend holds. No method is called after it.
	Close() error
}

// A Record is a collection as a backend keeps it.
type Record struct {
	Revision    uint64
	Default     string             // name of the default cache, "" if never set
	Caches      []CacheRecord      // in any order, with those that are quarantined
	Credentials []CredentialRecord // in any order, with those that are quarantined
}

// A CacheRecord is a cache as a backend keeps it, without its credentials.
type CacheRecord struct {
	ID          uint64 // unique in the collection; gives the order of creation
	UUID        uuid.UUID
	Name        string
	Principal   []byte // marshalled
	KDCOffset   int32  // seconds
	Label       string // SELinux label of whoever made it
	Changed     int64  // seconds since 1970
	Ends        int64  // when the last of its tickets is of no more use, in seconds since 1970; or Never
	Quarantined string // why it is quarantined; "" is in use
	Err         error  // why the rest is not what was stored
}

// Never is the end of what has none.
const Never = math.MaxInt64

// A CredentialRecord is a credential as a backend keeps it.
type CredentialRecord struct {
	Cache       uint64 // id of its cache
	Seq         uint64 // unique in the cache, rising; the order of storing
	UUID        uuid.UUID
	Data        []byte // what the client stored
	Quarantined string // why it is quarantined, and Data not there; "" is in use
	Err         error  // why the backend cannot tell Data
}

// Compare orders credentials by cache, and in each in the order of storing.
func (r CredentialRecord) Compare(s CredentialRecord) int {
	return cmp.Or(cmp.Compare(r.Cache, s.Cache), cmp.Compare(r.Seq, s.Seq))
}

// A Deadline is when a cache ends, as CacheRecord has it.
type Deadline struct {
	Owner Owner
	Cache uuid.UUID
	Ends  int64
}

// A Commit is a set of changes to one collection, which takes it from Revision
// to Revision+1. The changes are made in their order.
type Commit struct {
	Owner    Owner
	Revision uint64
	Ops      []Op
}

// An Op is one change in a Commit.
type Op interface{ isOp() }

// The changes that a backend must know. Putting what is there replaces it.
type (
	// SetDefault sets the name of the default cache.
	SetDefault struct{ Name string }

	// PutCache writes a cache and leaves its credentials as they are.
	PutCache struct{ CacheRecord }

	// DeleteCache removes a cache with its credentials.
	DeleteCache struct{ ID uint64 }

	// ClearCache removes all credentials of a cache.
	ClearCache struct{ ID uint64 }

	// PutCredential writes a credential.
	PutCredential struct{ CredentialRecord }

	// DeleteCredential removes a credential.
	DeleteCredential struct{ Cache, Seq uint64 }

	// QuarantineCache keeps a cache, but out of use: its name is free again.
	QuarantineCache struct {
		ID  uint64
		Why string
	}

	// QuarantineCredential keeps a credential, but out of use. It goes when its
	// cache is deleted or cleared.
	QuarantineCredential struct {
		Cache, Seq uint64
		Why        string
	}
)

func (SetDefault) isOp()           {}
func (PutCache) isOp()             {}
func (DeleteCache) isOp()          {}
func (ClearCache) isOp()           {}
func (PutCredential) isOp()        {}
func (DeleteCredential) isOp()     {}
func (QuarantineCache) isOp()      {}
func (QuarantineCredential) isOp() {}
