package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"log/slog"
	"os"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A Backend keeps collections in an SQLite database.
type Backend struct {
	path     string
	lock     *os.File
	log      *slog.Logger
	key      *storeKey
	read     *sql.DB
	write    *sql.DB
	requests chan *request // to the goroutine that writes
	stopped  chan struct{} // closed at its end
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
		return nil, err
	}
	defer tx.Rollback()

	var id int64
	var name []byte
	r := &ccstore.Record{}
	err = tx.QueryRowContext(ctx,
		"SELECT id, revision, default_name FROM collections WHERE namespace = ? AND uid = ? AND level = ?",
		owner.Namespace, owner.UID, owner.Level).Scan(&id, &r.Revision, &name)
	if errors.Is(err, sql.ErrNoRows) {
		return r, nil
	}
	if err != nil {
		return nil, err
	}
	r.Default = string(name)
	if r.Caches, err = loadCaches(ctx, tx, id); err != nil {
		return nil, err
	}
	key, err := b.key.owner(owner)
	if err != nil {
		return nil, err
	}
	r.Credentials, err = loadCredentials(ctx, tx, id, key, r.Caches)
	return r, err
}

func loadCaches(ctx context.Context, tx *sql.Tx, collection int64) ([]ccstore.CacheRecord, error) {
	rows, err := tx.QueryContext(ctx,
		`SELECT id, uuid, name, principal, kdc_offset, label, changed, coalesce(ends, ?), coalesce(aside, '')
		FROM caches WHERE collection = ?`, ccstore.Never, collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.CacheRecord
	for rows.Next() {
		var r ccstore.CacheRecord
		var id, name []byte
		if err := rows.Scan(&r.ID, &id, &name, &r.Principal, &r.KDCOffset, &r.Label, &r.Changed, &r.Ends, &r.Aside); err != nil {
			return nil, err
		}
		r.UUID = uuid.UUID(id) // the table holds 16 bytes or nothing
		r.Name = string(name)
		list = append(list, r)
	}
	return list, rows.Err()
}

func loadCredentials(ctx context.Context, tx *sql.Tx, collection int64, key *ownerKey, caches []ccstore.CacheRecord) ([]ccstore.CredentialRecord, error) {
	uuids := make(map[uint64]uuid.UUID, len(caches))
	for _, c := range caches {
		uuids[c.ID] = c.UUID
	}
	rows, err := tx.QueryContext(ctx,
		`SELECT cache, seq, uuid, sealed, iif(aside IS NULL, data, NULL), coalesce(aside, '')
		FROM credentials WHERE collection = ?`, collection)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.CredentialRecord
	for rows.Next() {
		var r ccstore.CredentialRecord
		var id []byte
		var sealed sql.NullInt64
		if err := rows.Scan(&r.Cache, &r.Seq, &id, &sealed, &r.Data, &r.Aside); err != nil {
			return nil, err
		}
		r.UUID = uuid.UUID(id)
		if r.Aside == "" {
			r.Data, r.Err = key.open(uuids[r.Cache], r.UUID, r.Data, sealed)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// Owners implements ccstore.Backend.
func (b *Backend) Owners(ctx context.Context) ([]ccstore.Owner, error) {
	rows, err := b.read.QueryContext(ctx, "SELECT namespace, uid, level FROM collections ORDER BY namespace, uid, level")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.Owner
	for rows.Next() {
		var o ccstore.Owner
		if err := rows.Scan(&o.Namespace, &o.UID, &o.Level); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// Due implements ccstore.Backend.
func (b *Backend) Due(ctx context.Context, before int64, limit int) ([]ccstore.Deadline, error) {
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
			return nil, err
		}
		d.Cache = uuid.UUID(id)
		list = append(list, d)
	}
	return list, rows.Err()
}

// Close implements ccstore.Backend.
func (b *Backend) Close() error {
	close(b.requests)
	<-b.stopped
	return b.closeFiles()
}

func (b *Backend) closeFiles() error {
	var errs []error
	for _, db := range []*sql.DB{b.read, b.write} { // the last to close folds the WAL into the file
		if db != nil {
			errs = append(errs, db.Close())
		}
	}
	return errors.Join(append(errs, b.lock.Close())...)
}
