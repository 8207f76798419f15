package sqlite

import (
	"context"
	"database/sql"
	"fmt"
	"slices"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
)

// load reads the collection of owner from a store with that key.
func load(ctx context.Context, db *sql.DB, owner ccstore.Owner, key *storeKey) (*ccstore.Record, error) {
	// The transaction gives all statements one snapshot.
	tx, err := db.BeginTx(ctx, &sql.TxOptions{ReadOnly: true})
	if err != nil {
		return nil, err
	}
	defer tx.Rollback()
	r := &ccstore.Record{}
	l := &loader{tx: tx, owner: ownerBytes(owner)}
	if err := l.collection(ctx, owner, r); err != nil || l.id == 0 {
		return r, err
	}
	if l.key, err = key.owner(l.owner); err != nil {
		return nil, err
	}
	if r.Caches, err = l.caches(ctx); err != nil {
		return nil, err
	}
	if r.Credentials, err = l.credentials(ctx); err != nil {
		return nil, err
	}
	return r, nil
}

// A loader reads one collection.
type loader struct {
	tx    *sql.Tx
	owner []byte
	key   *ownerKey
	id    int64 // of the collection; 0: there is none
}

func (l *loader) collection(ctx context.Context, owner ccstore.Owner, r *ccstore.Record) error {
	rows, err := l.tx.QueryContext(ctx,
		"SELECT id, revision, commits, default_name FROM collections WHERE namespace = ? AND uid = ? AND level = ?",
		owner.Namespace, owner.UID, owner.Level)
	if err != nil {
		return err
	}
	defer rows.Close()
	if !rows.Next() {
		return rows.Err()
	}
	var commits, name []byte
	if err := rows.Scan(&l.id, &r.Revision, &commits, &name); err != nil {
		return notAsWritten(err)
	}
	for b := range slices.Chunk(commits, len(uuid.UUID{})) {
		id, err := uuid.FromBytes(b)
		if err != nil {
			return notAsWritten(err)
		}
		r.Commits = append(r.Commits, id)
	}
	r.Default = string(name)
	return nil
}

func (l *loader) caches(ctx context.Context) ([]ccstore.CacheRecord, error) {
	rows, err := l.tx.QueryContext(ctx,
		`SELECT id, uuid, name, principal, kdc_offset, label, changed, renewal, coalesce(quarantined, ''), sum,
		`+eachDeadline("coalesce(COLUMN, "+never+")")+` FROM caches WHERE collection = ?`, l.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []ccstore.CacheRecord
	for rows.Next() {
		var r ccstore.CacheRecord
		var id, name []byte
		var sum int64
		columns := []any{&r.ID, &id, &name, &r.Principal, &r.KDCOffset, &r.Label, &r.Changed, &r.Renewal, &r.Quarantined, &sum}
		for kind := range r.Deadlines {
			columns = append(columns, &r.Deadlines[kind])
		}
		if err := rows.Scan(columns...); err != nil {
			return nil, notAsWritten(err)
		}
		if r.UUID, err = uuid.FromBytes(id); err != nil {
			return nil, notAsWritten(err)
		}
		r.Name = string(name)
		r.Err = checkSum(sum, cacheSum(l.owner, &r))
		list = append(list, r)
	}
	return list, rows.Err()
}

func (l *loader) credentials(ctx context.Context) ([]ccstore.CredentialRecord, error) {
	rows, err := l.tx.QueryContext(ctx,
		`SELECT caches.generation, caches.id, seq, credentials.uuid, sealed, iif(credentials.quarantined IS NULL, data, NULL),
			coalesce(credentials.quarantined, ''), credentials.sum
		FROM caches JOIN credentials ON `+ofGeneration("caches.generation")+` WHERE collection = ?`, l.id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := make([]ccstore.CredentialRecord, 0, usualTickets)
	var row credentialRow
	for rows.Next() {
		r, err := l.credential(rows, &row)
		if err != nil {
			return nil, notAsWritten(err)
		}
		list = append(list, r)
	}
	return list, rows.Err()
}

// usualTickets is room for as many credentials as most collections have.
const usualTickets = 16

// A credentialRow is memory for what is read of each credential.
type credentialRow struct {
	ccstore.CredentialRecord
	data            owned
	id              sql.RawBytes
	sealed          sql.NullInt64
	generation, sum int64
}

func (l *loader) credential(rows *sql.Rows, row *credentialRow) (r ccstore.CredentialRecord, err error) {
	if err := rows.Scan(&row.generation, &row.Cache, &row.Seq, &row.id, &row.sealed, &row.data, &row.Quarantined, &row.sum); err != nil {
		return r, err
	}
	r = row.CredentialRecord
	r.Data = row.data
	if r.UUID, err = uuid.FromBytes(row.id); err != nil {
		return r, err
	}
	if r.Quarantined == "" {
		if r.Err = checkSum(row.sum, credentialSum(l.owner, row.generation, &r)); r.Err == nil {
			r.Data, r.Err = l.key.open(row.generation, r.UUID, r.Data, row.sealed)
			ccache.WipeWhenUnused(r.Data)
		}
	}
	return r, nil
}

// An owned takes over the bytes that the driver made for a value: modernc.org/sqlite makes
// new ones for each. Scanned into a []byte they would be copied, and nothing would
// overwrite the keys in the first copy.
type owned []byte

// Scan implements sql.Scanner.
func (o *owned) Scan(value any) error {
	switch v := value.(type) {
	case nil:
		*o = nil
	case []byte:
		*o = v
	default: // the file is damaged: the checksum will say so
		*o = fmt.Append(nil, v)
	}
	return nil
}
