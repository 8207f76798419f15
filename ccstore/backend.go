package ccstore

import (
	"cmp"
	"context"

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
	// wraps ErrOutcomeUnknown if the changes may or may not be stored: Load
	// then says by Record.Commits whether they are. A backend that can wait
	// for long ends when ctx does.
	Commit(ctx context.Context, c *Commit) error

	// Owners returns every owner who has a cache, in order.
	Owners(ctx context.Context) ([]Owner, error)

	// Due returns the deadlines of a kind, of caches that are not quarantined,
	// that come after one time and not after another: the earliest first, and at
	// most limit of them. Times are seconds since 1970; none is Never.
	Due(ctx context.Context, kind DeadlineKind, after, until int64, limit int) ([]Deadline, error)

	// Stored returns about how many bytes the backend keeps for all collections,
	// on disk or in memory. It takes no time.
	Stored() int64

	// Quarantined returns how many caches and credentials are quarantined.
	Quarantined(ctx context.Context) (int, error)

	// Close releases what the backend holds. No method is called after it.
	Close() error
}

// A Watcher is a Backend with other writers than this store, which it knows of.
type Watcher interface {
	// Watch calls f in order with what happens to the collection of owner after
	// a revision, first with what has happened by now. It returns when ctx
	// ends, or with an error when it can no longer see every commit.
	Watch(ctx context.Context, owner Owner, after uint64, f func(Moved)) error

	// Fresh reports whether the collection of owner is still at a revision.
	Fresh(ctx context.Context, owner Owner, revision uint64) (bool, error)
}

// An AskedWatcher is a Watcher that sees changes too late for a reader who knows of them.
// The store asks it (Fresh) before each use of a collection, and waits for its answer.
type AskedWatcher interface {
	Watcher

	// AlwaysAsk does nothing.
	AlwaysAsk()
}

// Moved has the commits of this store and others, in order, since the watch of a
// collection began or f was last called.
type Moved struct {
	Commits []*Commit
	Reload  bool // the commits are not known: the collection must be loaded
}

// A Record is a collection as a backend keeps it.
type Record struct {
	Revision    uint64
	Commits     []uuid.UUID        // ids of the last KeptCommits commits, the latest first
	Default     string             // name of the default cache, "" if never set
	Caches      []CacheRecord      // in any order, with those that are quarantined
	Credentials []CredentialRecord // in any order, with those that are quarantined
}

// KeptCommits is how many ids of commits a backend keeps of a collection: enough
// to find a commit of unknown outcome when other writers have gone on since.
const KeptCommits = 64

// A CacheRecord is a cache as a backend keeps it, without its credentials.
type CacheRecord struct {
	ID          uint64 // unique in the collection; gives the order of creation
	UUID        uuid.UUID
	Name        string
	Principal   []byte // marshalled
	KDCOffset   int32  // seconds
	Label       string // SELinux label of its creator
	Changed     int64  // seconds since 1970
	Deadlines   Deadlines
	Renewal     string // as Renewal is encoded
	Quarantined string // why it is quarantined; "" is in use
	Err         error  // why the rest is not what was stored
}

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

// A Commit is a set of changes to one collection, which takes it from Revision
// to Revision+1. The changes are made in their order.
type Commit struct {
	ID       uuid.UUID // of this commit alone
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
	DeleteCache struct {
		ID     uint64
		Reason Reason // for other stores; need not be kept
	}

	// RenameCache gives a cache another name, which no cache in use has.
	RenameCache struct {
		ID   uint64
		Name string
	}

	// ClearCache removes all credentials of a cache.
	ClearCache struct{ ID uint64 }

	// PutCredential writes a credential.
	PutCredential struct{ CredentialRecord }

	// DeleteCredential removes a credential.
	DeleteCredential struct {
		Cache, Seq uint64
		Reason     Reason // for other stores; need not be kept
	}

	// MoveCredentials removes all credentials of the cache To, and gives it
	// those of From, which then has none.
	MoveCredentials struct{ From, To uint64 }

	// QuarantineCache keeps a cache, but out of use: its name is free again.
	QuarantineCache struct {
		ID  uint64
		Why string
	}

	// QuarantineCredential keeps a credential, but out of use, until its cache
	// is deleted or cleared.
	QuarantineCredential struct {
		Cache, Seq uint64
		Why        string
	}
)

func (SetDefault) isOp()           {}
func (PutCache) isOp()             {}
func (DeleteCache) isOp()          {}
func (RenameCache) isOp()          {}
func (ClearCache) isOp()           {}
func (PutCredential) isOp()        {}
func (DeleteCredential) isOp()     {}
func (MoveCredentials) isOp()      {}
func (QuarantineCache) isOp()      {}
func (QuarantineCredential) isOp() {}
