package keyring

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/cckeyring"
	"kcmd.org/kcmd/clock"
)

// A Backend keeps collections in keyrings.
type Backend struct {
	thread      *thread
	clock       clock.Clock
	poll        time.Duration
	collections map[ccstore.Owner]*collection // on the thread
	stored      atomic.Int64
	large       bool
}

var (
	_ ccstore.Backend      = (*Backend)(nil)
	_ ccstore.AskedWatcher = (*Backend)(nil)
)

// Options configures a Backend.
type Options struct {
	// Collections says where the caches of each owner are. Others have none.
	Collections map[ccstore.Owner]cckeyring.Name

	Clock clock.Clock // default: clock.System

	// Poll is how often a collection is looked at that is in memory and that nobody
	// asks for. Default: 2 seconds.
	Poll time.Duration

	// Prepare is called first on the thread of the backend.
	Prepare func() error
}

// Open returns a backend. It fails if the kernel does not let the process use the
// keyrings.
func Open(o Options) (*Backend, error) {
	b := &Backend{thread: newThread(), clock: o.Clock, poll: o.Poll, collections: make(map[ccstore.Owner]*collection)}
	if b.clock == nil {
		b.clock = clock.System{}
	}
	if b.poll == 0 {
		b.poll = 2 * time.Second
	}
	err := b.thread.do(func() error {
		if o.Prepare != nil {
			if err := o.Prepare(); err != nil {
				return err
			}
		}
		for owner, name := range o.Collections {
			c := newCollection(owner, name)
			if err := c.scan(b.clock.Now()); err != nil {
				return err
			}
			b.collections[owner] = c
		}
		b.large = cckeyring.HasBig()
		b.count()
		return nil
	})
	if err != nil {
		b.thread.end()
		return nil, err
	}
	return b, nil
}

// TakesLarge reports whether a credential may have more than cckeyring.MaxUser bytes,
// which takes a kernel with keys of type big_key.
func (b *Backend) TakesLarge() bool { return b.large }

// errOwner is returned for a change of another owner than those of the backend.
var errOwner = errors.New("the keyrings of another user cannot be written")

// use calls f on the thread with what is known of a collection, after a look at the
// kernel. It calls nothing for an owner without one.
func (b *Backend) use(owner ccstore.Owner, f func(*collection) error) error {
	return b.thread.do(func() error {
		c := b.collections[owner]
		if c == nil {
			return nil
		}
		defer c.forget()
		if err := c.scan(b.clock.Now()); err != nil {
			return err
		}
		err := f(c)
		b.count()
		return err
	})
}

// count keeps what Stored returns.
func (b *Backend) count() {
	n := int64(0)
	for _, c := range b.collections {
		n += c.size()
	}
	b.stored.Store(n)
}

// Load implements ccstore.Backend.
func (b *Backend) Load(_ context.Context, owner ccstore.Owner) (*ccstore.Record, error) {
	r := new(ccstore.Record)
	err := b.use(owner, func(c *collection) error {
		r = c.record()
		return nil
	})
	if err != nil {
		return nil, err
	}
	r.SetDeadlines(owner)
	return r, nil
}

// Commit implements ccstore.Backend. Its error wraps ccstore.ErrQuota where the quota of
// the user for keys forbids a change, and EFBIG for a credential that no key can have.
func (b *Backend) Commit(_ context.Context, commit *ccstore.Commit) error {
	known := false
	err := b.use(commit.Owner, func(c *collection) error {
		known = true
		if c.revision != commit.Revision {
			return ccstore.ErrConflict
		}
		return c.commit(commit, b.clock.Now())
	})
	if errors.Is(err, unix.EDQUOT) {
		return fmt.Errorf("%w: %w", ccstore.ErrQuota, err)
	}
	if err == nil && !known {
		return fmt.Errorf("%w: uid %d", errOwner, commit.Owner.UID)
	}
	return err
}

// owners returns those who have a collection, in order.
func (b *Backend) owners() []ccstore.Owner {
	return slices.SortedFunc(maps.Keys(b.collections), ccstore.Owner.Compare)
}

// Owners implements ccstore.Backend.
func (b *Backend) Owners(context.Context) ([]ccstore.Owner, error) {
	var list []ccstore.Owner
	for _, owner := range b.owners() {
		err := b.use(owner, func(c *collection) error {
			if len(c.caches) > 0 {
				list = append(list, owner)
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

// Due implements ccstore.Backend. It looks at every cache: there are few.
func (b *Backend) Due(ctx context.Context, kind ccstore.DeadlineKind, after, until int64, limit int) ([]ccstore.Deadline, error) {
	var list []ccstore.Deadline
	for _, owner := range b.owners() {
		r, err := b.Load(ctx, owner)
		if err != nil {
			return nil, err
		}
		for _, cache := range r.Caches {
			if at := cache.Deadlines[kind]; cache.Quarantined == "" && at > after && at <= min(until, ccstore.Never-1) {
				list = append(list, ccstore.Deadline{Owner: owner, Cache: cache.UUID, Kind: kind, At: at})
			}
		}
	}
	slices.SortFunc(list, func(a, b ccstore.Deadline) int { return cmp.Compare(a.At, b.At) })
	return list[:min(len(list), limit)], nil
}

// Stored implements ccstore.Backend, as of the last look at the kernel.
func (b *Backend) Stored() int64 { return b.stored.Load() }

// Quarantined implements ccstore.Backend. A store with other writers quarantines in
// memory, so that there rarely are any.
func (b *Backend) Quarantined(context.Context) (n int, err error) {
	for _, owner := range b.owners() {
		err = errors.Join(err, b.use(owner, func(c *collection) error {
			n += c.quarantined()
			return nil
		}))
	}
	return n, err
}

// Close implements ccstore.Backend. The caches stay in the kernel.
func (b *Backend) Close() error {
	b.thread.end()
	return nil
}
