package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"
	"sync/atomic"

	"kcmd.org/kcmd/ccstore"
)

// A Backend keeps collections in an SQLite database. Its methods may be called at
// the same time.
type Backend struct {
	*files
	key      *storeKey
	read     *sql.DB
	write    *sql.DB
	requests chan *request // to writeLoop
	stopped  chan struct{} // closed when writeLoop ends

	stored       atomic.Int64 // bytes
	damaged      sync.Once    // logs and marks the first damage
	stopChecking func()       // ends the check in the background
}

var _ ccstore.Backend = (*Backend)(nil)

// Load implements ccstore.Backend.
func (b *Backend) Load(ctx context.Context, owner ccstore.Owner) (*ccstore.Record, error) {
	r, err := load(ctx, b.read, owner, b.key)
	return r, b.noted(err)
}

// Owners implements ccstore.Backend.
func (b *Backend) Owners(ctx context.Context) ([]ccstore.Owner, error) {
	owners, err := listOwners(ctx, b.read, "WHERE EXISTS (SELECT 1 FROM caches WHERE collection = collections.id)")
	return owners, b.noted(err)
}

// listOwners returns the owners of the collections that a WHERE clause selects, in
// order.
func listOwners(ctx context.Context, q querier, where string) ([]ccstore.Owner, error) {
	rows, err := q.QueryContext(ctx, "SELECT namespace, uid, level FROM collections "+where+" ORDER BY namespace, uid, level")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.Owner
	for rows.Next() {
		var o ccstore.Owner
		if err := rows.Scan(&o.Namespace, &o.UID, &o.Level); err != nil {
			return nil, notAsWritten(err)
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// Quarantined implements ccstore.Backend.
func (b *Backend) Quarantined(ctx context.Context) (n int, err error) {
	err = b.read.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM caches WHERE quarantined IS NOT NULL)
		+ (SELECT count(*) FROM credentials WHERE quarantined IS NOT NULL
			AND generation NOT IN (SELECT generation FROM discarded))`).Scan(&n)
	return n, b.noted(err)
}

// Close implements ccstore.Backend.
func (b *Backend) Close() error {
	close(b.requests)
	<-b.stopped
	b.stopChecking()
	err := b.closeDatabase()
	b.unlockDatabase()
	return errors.Join(err, b.lock.Close())
}

// closeDatabase closes the connections to the database.
func (b *Backend) closeDatabase() error {
	var errs []error
	for _, db := range []*sql.DB{b.read, b.write} { // closing the last one folds the WAL into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	b.read, b.write = nil, nil
	return errors.Join(errs...)
}
