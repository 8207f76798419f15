package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"kcmd.org/kcmd/ccstore"
)

// A Reader reads a database that another process may use, and changes nothing. Each
// call reads one snapshot and ends it: an open one would keep the WAL from being
// emptied.
type Reader struct {
	path    string
	alone   fs.FileInfo // the file, if no process used it when it was opened
	version int
	key     *storeKey
	noKey   bool // it is encrypted, and no key was given
	db      *sql.DB
}

// OpenReader opens the database at path, which must be of the current version.
// Its owner and mode do not matter, and it may be in use. If it is encrypted and key
// is nil, the Err of its credentials is ErrNoKey.
func OpenReader(ctx context.Context, path string, key []byte) (*Reader, error) {
	r, err := openReader(ctx, path, key)
	if err != nil {
		return nil, fmt.Errorf("cannot open store %s: %w", path, err)
	}
	return r, nil
}

func openReader(ctx context.Context, path string, key []byte) (_ *Reader, err error) {
	r := &Reader{}
	if r.path, err = resolve(path); err != nil {
		return nil, err
	}
	st, err := os.Stat(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, errors.New("there is no such file")
	}
	if err != nil {
		return nil, err
	}
	if !st.Mode().IsRegular() {
		return nil, errors.New("it is not a regular file")
	}
	if _, err := checkMagic(r.path, exists(r.path+lockSuffix), 0); err != nil {
		return nil, err
	}
	if !exists(r.path + "-wal") {
		r.alone = st
	}
	if r.db, err = openReadOnly(r.path); err != nil {
		return nil, err
	}
	if err = r.prepare(ctx, key); err != nil {
		r.db.Close()
		return nil, err
	}
	return r, nil
}

// prepare checks the version and finds the key.
func (r *Reader) prepare(ctx context.Context, key []byte) (err error) {
	if r.version, err = checkHeader(ctx, r.db); err != nil {
		return err
	}
	if current := len(migrations); r.version < current {
		return fmt.Errorf("its version is %d; kcmd brings it to version %d when it starts", r.version, current)
	}
	r.key, err = findKey(ctx, r.db, key)
	if r.noKey = errors.Is(err, ErrNoKey); r.noKey {
		return nil
	}
	return err
}

// Close closes r. It fails if another process began to use the database meanwhile:
// the results may then be inconsistent.
func (r *Reader) Close() error {
	if err := r.db.Close(); err != nil {
		return err
	}
	if r.alone == nil {
		return nil
	}
	now, err := os.Stat(r.path)
	if err != nil {
		return err
	}
	if exists(r.path+"-wal") || !now.ModTime().Equal(r.alone.ModTime()) || !os.SameFile(now, r.alone) {
		return errors.New("another process has begun to use it; try again")
	}
	return nil
}

// Version returns the version of the database.
func (r *Reader) Version() int { return r.version }

// Owners returns the owners of all collections, in order.
func (r *Reader) Owners(ctx context.Context) ([]ccstore.Owner, error) {
	return listOwners(ctx, r.db, "")
}

// Load returns the collection of owner.
func (r *Reader) Load(ctx context.Context, owner ccstore.Owner) (*ccstore.Record, error) {
	record, err := load(ctx, r.db, owner, r.key)
	if err != nil {
		return nil, err
	}
	for i := range record.Credentials {
		if c := &record.Credentials[i]; r.noKey && errors.Is(c.Err, errSealed) {
			c.Err = ErrNoKey
		}
	}
	return record, nil
}

// Check checks the whole file. It returns at most about 100 findings on its
// structure, and every row whose parent row is missing.
func (r *Reader) Check(ctx context.Context) ([]string, error) {
	findings, err := integrity(ctx, r.db, "")
	if err != nil {
		return nil, err
	}
	orphans, err := r.orphans(ctx)
	if Damaged(err) {
		return append(findings, "the rows cannot be compared: "+err.Error()), nil
	}
	return append(findings, orphans...), err
}

// orphans returns the rows whose parent row is missing, and how many deadlines do not
// follow from the caches.
func (r *Reader) orphans(ctx context.Context) (findings []string, err error) {
	rows, err := r.db.QueryContext(ctx, `SELECT "table", rowid, parent FROM pragma_foreign_key_check
		UNION ALL SELECT 'credentials', rowid, 'caches' FROM credentials
		WHERE generation NOT IN (SELECT generation FROM caches) AND generation NOT IN (SELECT generation FROM discarded)`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var table, parent string
		var rowid sql.NullInt64
		if err := rows.Scan(&table, &rowid, &parent); err != nil {
			return nil, err
		}
		row := "a row"
		if rowid.Valid {
			row = fmt.Sprintf("row %d", rowid.Int64)
		}
		findings = append(findings, fmt.Sprintf("%s of %s belongs to no row of %s", row, table, parent))
	}
	if err := rows.Err(); err != nil {
		return findings, err
	}
	var wrong int
	err = r.db.QueryRowContext(ctx, `SELECT (SELECT count(*) FROM (SELECT * FROM due EXCEPT SELECT * FROM deadlines))
		+ (SELECT count(*) FROM (SELECT * FROM deadlines EXCEPT SELECT * FROM due))`).Scan(&wrong)
	if wrong > 0 {
		findings = append(findings, fmt.Sprintf("%d rows of deadlines are wrong or missing", wrong))
	}
	return findings, err
}
