package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"sync"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A Backend keeps collections in an SQLite database.
type Backend struct {
	path     string // absolute, without symbolic links but for the file itself
	lock     *os.File
	log      *slog.Logger
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

// load reads the collection of owner from a store with that key.
func load(ctx context.Context, tx *sql.Tx, owner ccstore.Owner, key *storeKey) (*ccstore.Record, error) {
	r := &ccstore.Record{}
	id, err := loadCollection(ctx, tx, owner, r)
	if err != nil {
		return nil, err
	}
	if id == 0 {
		return r, nil
	}
	if r.Caches, err = loadCaches(ctx, tx, owner, id); err != nil {
		return nil, err
	}
	ownerKey, err := key.owner(owner)
	if err != nil {
		return nil, err
	}
	if r.Credentials, err = loadCredentials(ctx, tx, owner, id, ownerKey, r.Caches); err != nil {
		return nil, err
	}
	return r, nil
}

// loadCollection returns the id of the collection, 0 if there is none.
func loadCollection(ctx context.Context, tx *sql.Tx, owner ccstore.Owner, r *ccstore.Record) (id int64, err error) {
	rows, err := tx.QueryContext(ctx,
		"SELECT id, revision, default_name FROM collections WHERE namespace = ? AND uid = ? AND level = ?",
		owner.Namespace, owner.UID, owner.Level)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	if !rows.Next() {
		return 0, rows.Err()
	}
	var name []byte
	if err := rows.Scan(&id, &r.Revision, &name); err != nil {
		return 0, notAsWritten(err)
	}
	r.Default = string(name)
	return id, nil
}

func loadCaches(ctx context.Context, tx *sql.Tx, owner ccstore.Owner, collection int64) ([]ccstore.CacheRecord, error) {
	rows, err := tx.QueryContext(ctx,
		`SELECT id, uuid, name, principal, kdc_offset, label, changed, coalesce(ends, ?), coalesce(aside, ''), sum
		FROM caches WHERE collection = ?`, ccstore.Never, collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.CacheRecord
	for rows.Next() {
		var r ccstore.CacheRecord
		var id, name []byte
		var sum sql.NullInt64
		if err := rows.Scan(&r.ID, &id, &name, &r.Principal, &r.KDCOffset, &r.Label, &r.Changed, &r.Ends, &r.Quarantined, &sum); err != nil {
			return nil, notAsWritten(err)
		}
		if r.UUID, err = uuid.FromBytes(id); err != nil {
			return nil, notAsWritten(err)
		}
		r.Name = string(name)
		r.Err = checkSum(sum, cacheSum(owner, &r))
		list = append(list, r)
	}
	return list, rows.Err()
}

func loadCredentials(ctx context.Context, tx *sql.Tx, owner ccstore.Owner, collection int64, key *ownerKey, caches []ccstore.CacheRecord) ([]ccstore.CredentialRecord, error) {
	uuids := make(map[uint64]uuid.UUID, len(caches))
	for _, c := range caches {
		uuids[c.ID] = c.UUID
	}
	rows, err := tx.QueryContext(ctx,
		`SELECT cache, seq, uuid, sealed, iif(aside IS NULL, data, NULL), coalesce(aside, ''), sum
		FROM credentials WHERE collection = ?`, collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.CredentialRecord
	for rows.Next() {
		var r ccstore.CredentialRecord
		var id []byte
		var sealed, sum sql.NullInt64
		if err := rows.Scan(&r.Cache, &r.Seq, &id, &sealed, &r.Data, &r.Quarantined, &sum); err != nil {
			return nil, notAsWritten(err)
		}
		if r.UUID, err = uuid.FromBytes(id); err != nil {
			return nil, notAsWritten(err)
		}
		if r.Quarantined == "" {
			if r.Err = checkSum(sum, credentialSum(owner, &r)); r.Err == nil {
				r.Data, r.Err = key.open(uuids[r.Cache], r.UUID, r.Data, sealed)
			}
		}
		list = append(list, r)
	}
	return list, rows.Err()
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

// Due implements ccstore.Backend.
func (b *Backend) Due(ctx context.Context, before int64, limit int) ([]ccstore.Deadline, error) {
	list, err := b.due(ctx, before, limit)
	return list, b.noted(err)
}

func (b *Backend) due(ctx context.Context, before int64, limit int) ([]ccstore.Deadline, error) {
	rows, err := b.read.QueryContext(ctx,
		`SELECT namespace, uid, level, uuid, ends FROM caches JOIN collections ON collections.id = caches.collection
		WHERE ends <= ? AND aside IS NULL ORDER BY ends LIMIT ?`, before, limit)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.Deadline
	for rows.Next() {
		var d ccstore.Deadline
		var id []byte
		if err := rows.Scan(&d.Owner.Namespace, &d.Owner.UID, &d.Owner.Level, &id, &d.Ends); err != nil {
			return nil, notAsWritten(err)
		}
		if d.Cache, err = uuid.FromBytes(id); err != nil {
			return nil, notAsWritten(err)
		}
		list = append(list, d)
	}
	return list, rows.Err()
}

// Close implements ccstore.Backend.
func (b *Backend) Close() error {
	close(b.requests)
	<-b.stopped
	b.stopChecking()
	return errors.Join(b.closeFile(), b.lock.Close())
}

// closeFile closes the connections to the database.
func (b *Backend) closeFile() error {
	var errs []error
	for _, db := range []*sql.DB{b.read, b.write} { // the last to close folds the WAL into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	b.read, b.write = nil, nil
	return errors.Join(errs...)
}
