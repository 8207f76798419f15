package keyring

import (
	"context"
	"time"

	"kcmd.org/kcmd/ccstore"
)

// AlwaysAsk implements ccstore.AskedWatcher: who made a login in the keyring finds it at
// once.
func (b *Backend) AlwaysAsk() {}

// Watch implements ccstore.Watcher. It finds what other programs do within the time of
// Options.Poll, while nobody uses the collection.
func (b *Backend) Watch(ctx context.Context, owner ccstore.Owner, after uint64, f func(ccstore.Moved)) error {
	tick := time.NewTicker(b.poll)
	defer tick.Stop()
	revision, foreign, err := b.look(owner)
	moved := revision != after
	for {
		switch {
		case err != nil:
			return err
		case moved:
			f(ccstore.Moved{Reload: true})
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		before := foreign
		_, foreign, err = b.look(owner)
		moved = foreign != before
	}
}

// Fresh implements ccstore.Watcher. It reads all keys, since a program may change one in
// place.
func (b *Backend) Fresh(_ context.Context, owner ccstore.Owner, revision uint64) (bool, error) {
	now, _, err := b.look(owner)
	return now == revision, err
}

// look returns the revision of a collection, and how many changes of other programs were
// seen. Both are 0 for an owner without a collection.
func (b *Backend) look(owner ccstore.Owner) (revision, foreign uint64, err error) {
	err = b.use(owner, func(c *collection) error {
		revision, foreign = c.revision, c.foreign
		return nil
	})
	return revision, foreign, err
}
