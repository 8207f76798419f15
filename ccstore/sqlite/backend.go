package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"sync"

	"kcmd.org/kcmd/ccstore"
)

// A Backend keeps collections in an SQLite database.
type Backend struct {
	*files
	key      *storeKey
	read     *sql.DB
	write    *sql.DB
	requests chan *request // to the goroutine that writes
	stopped  chan struct{} // closed at its end

	damaged      sync.Once // the store is found to be damaged
	stopChecking func()    // ends the check that goes on beside
}

var _ ccstore.Backend = (*Backend)(nil)

// Load implements ccstore.Backend.
func (b *Backend) Load(ctx context.Context, owner ccstore.Owner) (*ccstore.Record, error) {
	r, err := b.load(ctx, owner)
	return r, b.explain(err)
}

func (b *Backend) load(ctx context.Context, owner ccstore.Owner) (*ccstore.Record, error) {
	// The transaction gives all statements one snapshot.
	tx, err := b.read.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, b.noted(err)
	}
	defer tx.Rollback()
	r, err := load(ctx, tx, owner, b.key)
	return r, b.noted(err)
}

// Owners implements ccstore.Backend.
func (b *Backend) Owners(ctx context.Context) ([]ccstore.Owner, error) {
	owners, err := listOwners(ctx, b.read, "WHERE EXISTS (SELECT 1 FROM caches WHERE collection = collections.id)")
	return owners, b.noted(err)
}

// listOwners returns the owners of those collections.
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

// Close implements ccstore.Backend.
func (b *Backend) Close() error {
	close(b.requests)
	<-b.stopped
	b.stopChecking()
	err := b.closeDatabase()
	b.letGo()
	return errors.Join(err, b.lock.Close())
}

// closeDatabase closes the connections to the database.
func (b *Backend) closeDatabase() error {
	var errs []error
	for _, db := range []*sql.DB{b.read, b.write} { // the last to close folds the WAL into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	b.read, b.write = nil, nil
	return errors.Join(errs...)
}
