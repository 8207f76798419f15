package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A request is a commit that waits for the goroutine that writes.
type request struct {
	commit *ccstore.Commit
	err    error
	done   chan struct{}
}

// Commit implements ccstore.Backend. Commits that wait together are written in
// one transaction, so that they share what the disk takes to make it durable.
func (b *Backend) Commit(_ context.Context, c *ccstore.Commit) error {
	r := &request{commit: c, done: make(chan struct{})}
	b.requests <- r
	<-r.done
	return b.explain(b.noted(r.err))
}

// maxBatch bounds the commits that share a transaction.
const maxBatch = 256

func (b *Backend) writeLoop(w *writer) {
	defer close(b.stopped)
	defer w.close()
	wiper := newWiper()
	for {
		select {
		case r, ok := <-b.requests:
			if !ok {
				return
			}
			batch := b.gather(r)
			w.writeBatch(batch)
			for _, r := range batch {
				close(r.done)
			}
			wiper.committed()
		case <-wiper.timer.C:
			wiper.wiped(w.wipe(), b.log)
		}
	}
}

// gather returns the commits that wait together with the first one.
func (b *Backend) gather(first *request) []*request {
	batch := []*request{first}
	for len(batch) < maxBatch {
		select {
		case next, ok := <-b.requests:
			if !ok {
				return batch
			}
			batch = append(batch, next)
		default:
			return batch
		}
	}
	return batch
}

// A writer holds the connection that writes, with its statements.
type writer struct {
	key   *storeKey
	conn  *sql.Conn
	stmts []*sql.Stmt // all that follow

	revise, create, setDefault        *sql.Stmt
	putCache, deleteCache             *sql.Stmt
	putCred, deleteCred, clearCache   *sql.Stmt
	quarantinedCache, quarantinedCred *sql.Stmt
	cacheUUID                         *sql.Stmt
	control                           map[string]*sql.Stmt // what exec runs
}

// never is ccstore.Never in SQL, which the table has as NULL.
const never = "9223372036854775807"

func newWriter(ctx context.Context, db *sql.DB, key *storeKey) (_ *writer, err error) {
	w := &writer{key: key}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	for _, s := range []struct {
		stmt  **sql.Stmt
		query string
	}{
		{&w.revise, `UPDATE collections SET revision = revision + 1
			WHERE namespace = ? AND uid = ? AND level = ? AND revision = ? RETURNING id`},
		{&w.create, "INSERT INTO collections (namespace, uid, level, revision) VALUES (?, ?, ?, 1) ON CONFLICT DO NOTHING RETURNING id"},
		{&w.setDefault, "UPDATE collections SET default_name = ? WHERE id = ?"},
		// An upsert: REPLACE would delete the old row, and by that its credentials.
		{&w.putCache, `INSERT INTO caches (collection, id, uuid, name, principal, kdc_offset, label, changed, ends, sum)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, nullif(?, ` + never + `), ?) ON CONFLICT (collection, id) DO UPDATE SET uuid = excluded.uuid,
			name = excluded.name, principal = excluded.principal, kdc_offset = excluded.kdc_offset, label = excluded.label,
			changed = excluded.changed, ends = excluded.ends, sum = excluded.sum`},
		{&w.deleteCache, "DELETE FROM caches WHERE collection = ? AND id = ?"},
		{&w.putCred, `INSERT INTO credentials (collection, cache, seq, uuid, sealed, data, sum) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (collection, cache, seq) DO UPDATE SET uuid = excluded.uuid, sealed = excluded.sealed, data = excluded.data,
			sum = excluded.sum`},
		{&w.deleteCred, "DELETE FROM credentials WHERE collection = ? AND cache = ? AND seq = ?"},
		{&w.clearCache, "DELETE FROM credentials WHERE collection = ? AND cache = ?"},
		{&w.quarantinedCache, "UPDATE caches SET aside = ? WHERE collection = ? AND id = ?"},
		{&w.quarantinedCred, "UPDATE credentials SET aside = ? WHERE collection = ? AND cache = ? AND seq = ?"},
		{&w.cacheUUID, "SELECT uuid FROM caches WHERE collection = ? AND id = ?"},
	} {
		if *s.stmt, err = w.conn.PrepareContext(ctx, s.query); err != nil {
			w.close()
			return nil, err
		}
		w.stmts = append(w.stmts, *s.stmt)
	}
	w.control = make(map[string]*sql.Stmt)
	for _, query := range []string{begin, commit, rollback, savepoint, rollbackTo, release} {
		stmt, err := w.conn.PrepareContext(ctx, query)
		if err != nil {
			w.close()
			return nil, err
		}
		w.control[query] = stmt
		w.stmts = append(w.stmts, stmt)
	}
	return w, nil
}

// The statements that make transactions.
const (
	begin      = "BEGIN IMMEDIATE"
	commit     = "COMMIT"
	rollback   = "ROLLBACK"
	savepoint  = "SAVEPOINT one"
	rollbackTo = "ROLLBACK TO one"
	release    = "RELEASE one"
)

func (w *writer) close() {
	for _, stmt := range w.stmts {
		stmt.Close()
	}
	w.conn.Close()
}

// writeBatch writes all commits of the batch in one transaction, and sets the
// error of each. A commit that fails by itself is left out of it.
func (w *writer) writeBatch(batch []*request) {
	if err := w.exec(begin); err != nil {
		fail(batch, err)
		return
	}
	written := 0
	for _, r := range batch {
		var lost error
		if r.err, lost = w.writeOne(r.commit); lost != nil {
			w.exec(rollback) // may have happened by itself
			fail(batch, lost)
			return
		}
		if r.err == nil {
			written++
		}
	}
	if written == 0 {
		w.exec(rollback)
		return
	}
	if err := w.exec(commit); err != nil {
		w.exec(rollback)
		fail(batch, fmt.Errorf("%w: %w", ccstore.ErrOutcomeUnknown, err))
	}
}

// fail sets the error of every commit that has none yet.
func fail(batch []*request, err error) {
	for _, r := range batch {
		if r.err == nil {
			r.err = err
		}
	}
}

// writeOne makes the changes of one commit, or none of them. lost says that the
// whole transaction is gone, which SQLite does to it on some errors.
func (w *writer) writeOne(c *ccstore.Commit) (err, lost error) {
	if err := w.exec(savepoint); err != nil {
		return nil, err
	}
	if err = w.apply(c); err != nil {
		if e := w.exec(rollbackTo); e != nil {
			return nil, errors.Join(err, e)
		}
	}
	return err, w.exec(release)
}

func (w *writer) apply(c *ccstore.Commit) error {
	ctx := context.Background()
	id, err := w.collection(ctx, c)
	if err != nil {
		return err
	}
	key, err := w.key.owner(c.Owner)
	if err != nil {
		return err
	}
	for _, op := range c.Ops {
		if err := w.applyOp(ctx, c.Owner, id, key, op); err != nil {
			return err
		}
	}
	return nil
}

// collection returns the row of the collection, which must be at the commit's
// revision and goes to the next one.
func (w *writer) collection(ctx context.Context, c *ccstore.Commit) (id int64, err error) {
	o := c.Owner
	err = w.revise.QueryRowContext(ctx, o.Namespace, o.UID, o.Level, c.Revision).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) && c.Revision == 0 {
		err = w.create.QueryRowContext(ctx, o.Namespace, o.UID, o.Level).Scan(&id)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = ccstore.ErrConflict
	}
	return id, err
}

func (w *writer) applyOp(ctx context.Context, owner ccstore.Owner, collection int64, key *ownerKey, op ccstore.Op) (err error) {
	switch op := op.(type) {
	case ccstore.SetDefault:
		_, err = w.setDefault.ExecContext(ctx, []byte(op.Name), collection)
	case ccstore.PutCache:
		_, err = w.putCache.ExecContext(ctx, collection, op.ID, op.UUID[:], []byte(op.Name), op.Principal, op.KDCOffset, op.Label, op.Changed, op.Ends,
			cacheSum(owner, &op.CacheRecord))
	case ccstore.DeleteCache:
		_, err = w.deleteCache.ExecContext(ctx, collection, op.ID)
	case ccstore.ClearCache:
		_, err = w.clearCache.ExecContext(ctx, collection, op.ID)
	case ccstore.PutCredential:
		err = w.putCredential(ctx, owner, collection, key, op)
	case ccstore.DeleteCredential:
		_, err = w.deleteCred.ExecContext(ctx, collection, op.Cache, op.Seq)
	case ccstore.QuarantineCache:
		_, err = w.quarantinedCache.ExecContext(ctx, op.Why, collection, op.ID)
	case ccstore.QuarantineCredential:
		_, err = w.quarantinedCred.ExecContext(ctx, op.Why, collection, op.Cache, op.Seq)
	default:
		err = fmt.Errorf("unknown change %T", op)
	}
	return err
}

// putCredential seals a credential if key is not nil. What it is bound to is
// the UUID of its cache, whose number in the collection is given to another one
// some time.
func (w *writer) putCredential(ctx context.Context, owner ccstore.Owner, collection int64, key *ownerKey, op ccstore.PutCredential) error {
	stored, sealed := op.CredentialRecord, sql.NullInt64{}
	if key != nil {
		var cache []byte
		if err := w.cacheUUID.QueryRowContext(ctx, collection, op.Cache).Scan(&cache); err != nil {
			return err
		}
		stored.Data, sealed = key.seal(uuid.UUID(cache), op.UUID, op.Data)
	}
	_, err := w.putCred.ExecContext(ctx, collection, op.Cache, op.Seq, op.UUID[:], sealed, stored.Data, credentialSum(owner, &stored))
	return err
}

// exec runs one of the statements that make transactions.
func (w *writer) exec(query string) error {
	_, err := w.control[query].ExecContext(context.Background())
	return err
}
