package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	codes "modernc.org/sqlite/lib"

	"kcmd.org/kcmd/ccstore"
)

// A writer has the connection that writes to the database, and its statements.
type writer struct {
	path           string // of the database
	sync           Synchronous
	key            *storeKey
	conn           *sql.Conn
	nextGeneration int64
	usedGeneration int64                     // all from the next one to this are free
	collections    map[ccstore.Owner]int64   // some of those in the database; only the writer changes them
	caches         map[cacheKey]*storedCache // some of those in the database
	portion        portion                   // rest of the portion of the transaction
	firstStaged    int64                     // first generation of the current staging
	discarded      bool                      // a generation was left to deleteDiscarded
	deleted        bool                      // something was deleted or overwritten that must vanish
	uncleared      bool                      // a checkpoint wrote pages without clearing their gaps
	unwiped        bool                      // the start could not empty the WAL
	reserve        reserve

	begin, commit, rollback                          *sql.Stmt
	findCollection, revise, create, setDefault       *sql.Stmt
	findCache, insertCache, updateCache, deleteCache *sql.Stmt
	cache, renameCache, setGeneration                *sql.Stmt
	setDeadline                                      [ccstore.DeadlineKinds]*sql.Stmt
	putCred, deleteCred                              *sql.Stmt
	quarantineCache, quarantineCred                  *sql.Stmt
	sizes, deleteUpTo                                *sql.Stmt
	nextDiscarded, noteDiscarded, forgetDiscarded    *sql.Stmt
	freeGenerations                                  *sql.Stmt
}

// A cacheKey identifies a cache.
type cacheKey struct {
	collection int64
	cache      uint64
}

// A storedCache has what the database has of a cache: its generation, the checksum of
// the row, the number of its last credential, and the columns in an index. An update
// names a column only if it changes: SQLite writes the pages of each index with a named
// column. A credential with a lower number overwrites another.
type storedCache struct {
	generation int64
	sum        int64
	lastSeq    uint64
	name       string
	deadlines  ccstore.Deadlines
}

// maxCaches limits the caches, and the collections, in memory.
const maxCaches = 4096

// keptCommits is the size of collections.commits: ccstore.KeptCommits ids.
const keptCommits = "1024"

func newWriter(ctx context.Context, path string, db *sql.DB, key *storeKey) (_ *writer, err error) {
	w := &writer{path: path, key: key, collections: make(map[ccstore.Owner]int64), caches: make(map[cacheKey]*storedCache), usedGeneration: maxGeneration + 1, firstStaged: notStaged, reserve: reserve{path: path + reserveSuffix}}
	if w.conn, err = db.Conn(ctx); err != nil {
		return nil, err
	}
	if err = prepare(ctx, w.conn, w.statements()); err == nil {
		err = w.findGeneration(ctx)
	}
	if err != nil {
		w.close()
		return nil, err
	}
	return w, nil
}

// A statement is a query, and the variable for its prepared statement.
type statement struct {
	stmt  **sql.Stmt
	query string
}

// prepare prepares statements on a connection or in a transaction. The end of a
// transaction closes its statements.
func prepare(ctx context.Context, on interface {
	PrepareContext(ctx context.Context, query string) (*sql.Stmt, error)
}, list []statement) (err error) {
	for _, s := range list {
		if *s.stmt, err = on.PrepareContext(ctx, s.query); err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) statements() []statement {
	list := []statement{
		{&w.begin, "BEGIN IMMEDIATE"},
		{&w.commit, "COMMIT"},
		{&w.rollback, "ROLLBACK"},

		{&w.findCollection, "SELECT id FROM collections WHERE namespace = ? AND uid = ? AND level = ?"},
		{&w.revise, `UPDATE collections SET revision = revision + 1, commits = substr(CAST(? || commits AS BLOB), 1, ` + keptCommits + `)
			WHERE id = ? AND revision = ?`},
		{&w.create, "INSERT INTO collections (commits, namespace, uid, level, revision) VALUES (?, ?, ?, ?, 1) ON CONFLICT DO NOTHING RETURNING id"},
		{&w.setDefault, "UPDATE collections SET default_name = ? WHERE id = ?"},

		{&w.findCache, `SELECT generation, sum, (SELECT coalesce(max(id) & 0xffffffff, 0) FROM credentials WHERE ` + ofGeneration("caches.generation") + `), name, ` + eachDeadline("coalesce(COLUMN, "+never+")") + " FROM caches WHERE collection = ? AND id = ?"},
		{&w.insertCache, `INSERT INTO caches (uuid, principal, kdc_offset, label, changed, renewal, sum, collection, id, generation, name, ` + eachDeadline("COLUMN") + `)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ` + eachDeadline("nullif(?, "+never+")") + `)`},
		{&w.updateCache, `UPDATE caches SET uuid = ?, principal = ?, kdc_offset = ?, label = ?, changed = ?, renewal = ?, sum = ?
			WHERE collection = ? AND id = ?`},
		{&w.deleteCache, "DELETE FROM caches WHERE collection = ? AND id = ?"},
		{&w.cache, "SELECT uuid, name, principal, kdc_offset, label, changed, renewal, sum FROM caches WHERE collection = ? AND id = ?"},
		{&w.renameCache, "UPDATE caches SET name = ?, sum = ? WHERE collection = ? AND id = ?"},
		{&w.setGeneration, "UPDATE caches SET generation = ? WHERE collection = ? AND id = ?"},
		{&w.putCred, `INSERT INTO credentials (id, uuid, sealed, data, sum) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (id) DO UPDATE SET uuid = excluded.uuid, sealed = excluded.sealed, data = excluded.data,
			sum = excluded.sum`},
		{&w.deleteCred, "DELETE FROM credentials WHERE id = ?"},
		{&w.quarantineCache, "UPDATE caches SET quarantined = ? WHERE collection = ? AND id = ?"},
		{&w.quarantineCred, "UPDATE credentials SET quarantined = ? WHERE id = ?"},

		{&w.sizes, `SELECT count(*), coalesce(sum(size), 0), coalesce(max(seq), 0)
			FROM (SELECT seq, length(data) AS size FROM credentials WHERE ` + ofGeneration("?1") + ` ORDER BY id LIMIT ?2)`},
		{&w.deleteUpTo, "DELETE FROM credentials WHERE id BETWEEN ?1 << 32 AND (?1 << 32 | ?2)"},
		{&w.freeGenerations, `WITH used (g) AS (SELECT generation FROM caches UNION ALL SELECT generation FROM discarded),
				free (g) AS (SELECT min(g) FROM (SELECT ?1 AS g UNION ALL SELECT g + 1 FROM used) WHERE g >= ?1 AND g NOT IN (SELECT g FROM used))
			SELECT free.g, coalesce((SELECT min(used.g) FROM used WHERE used.g > free.g), ?2) FROM free`},
		{&w.nextDiscarded, "SELECT generation FROM discarded WHERE generation < ? ORDER BY generation LIMIT 1"},
		{&w.noteDiscarded, "INSERT INTO discarded (generation) VALUES (?)"},
		{&w.forgetDiscarded, "DELETE FROM discarded WHERE generation = ?"},
	}
	for kind, column := range deadlineColumns {
		list = append(list, statement{&w.setDeadline[kind], "UPDATE caches SET " + column + " = nullif(?, " + never + ") WHERE collection = ? AND id = ?"})
	}
	return list
}

// ofGeneration is the condition in SQL for the credentials of a generation.
func ofGeneration(generation string) string {
	return "credentials.id BETWEEN " + generation + " << 32 AND (" + generation + " << 32 | 0xffffffff)"
}

// findGeneration finds the first generation that no row has.
func (w *writer) findGeneration(ctx context.Context) error {
	return w.conn.QueryRowContext(ctx, `SELECT 1 + max((SELECT coalesce(max(generation), 0) FROM caches),
		(SELECT coalesce(max(id) >> 32, 0) FROM credentials), (SELECT coalesce(max(generation), 0) FROM discarded))`).Scan(&w.nextGeneration)
}

func (w *writer) close() {
	for _, s := range w.statements() {
		if *s.stmt != nil {
			(*s.stmt).Close()
		}
	}
	w.conn.Close()
}

// write writes a batch, or a piece of a large commit, and reports whether there is more
// of that.
func (w *writer) write(batch []*request) (more bool) {
	if r := batch[0]; r.isLarge() {
		if more, r.err = w.stage(r); more && r.err == nil {
			return true
		}
		defer w.endStaging()
		if r.err != nil {
			return false
		}
	}
	w.writeBatch(batch)
	return false
}

// writeBatch writes the commits of a batch in one transaction, and sets the error of
// each. If one fails, or the disk is full, each gets a transaction of its own: with a
// savepoint for each commit SQLite would walk through all changed pages at every
// statement.
func (w *writer) writeBatch(batch []*request) {
	if len(batch) == 1 && onlyDeletes(batch[0].commit) {
		w.writeDeletion(batch)
		return
	}
	separate, err := w.transact(batch, onePortion)
	if separate && len(batch) > 1 {
		for i := range batch {
			w.writeBatch(batch[i : i+1])
		}
		return
	}
	fail(batch, err)
}

// writeDeletion writes a commit that only deletes. With the reserve it leaves all
// credentials to deleteDiscarded, so that it writes only a few pages.
func (w *writer) writeDeletion(batch []*request) {
	limit := onePortion
	fail(batch, w.withReserve(func() error {
		_, err := w.transact(batch, limit)
		limit = portion{}
		return err
	}))
}

// transact writes a batch in one transaction, and deletes discarded credentials within
// the limit. If it fails it reports whether some of the commits may succeed alone.
func (w *writer) transact(batch []*request, limit portion) (separate bool, err error) {
	if err := w.beginTransaction(limit); err != nil {
		return false, err
	}
	if err := w.applyAll(batch); err != nil {
		w.rollBack()
		return true, err
	}
	if err := w.run(w.commit); err != nil {
		w.rollBack()
		return primary(err) == codes.SQLITE_FULL, fmt.Errorf("%w: %w", ccstore.ErrOutcomeUnknown, err)
	}
	return false, nil
}

// applyAll returns the error of the first commit that fails halfway.
func (w *writer) applyAll(batch []*request) error {
	for _, r := range batch {
		if r.err = w.apply(r); r.err != nil && !errors.Is(r.err, ccstore.ErrConflict) {
			return r.err
		}
	}
	return nil
}

func (w *writer) beginTransaction(limit portion) error {
	if len(w.caches) > maxCaches {
		clear(w.caches)
	}
	if len(w.collections) > maxCaches {
		clear(w.collections)
	}
	w.portion = limit
	return w.run(w.begin)
}

// rollBack undoes the transaction, unless SQLite has done that already.
func (w *writer) rollBack() {
	clear(w.caches)
	clear(w.collections)
	w.run(w.rollback)
}

// fail sets the error of the commits without one, unless it is nil.
func fail(batch []*request, err error) {
	for _, r := range batch {
		if r.err == nil {
			r.err = err
		}
	}
}

// inTransaction calls f in a transaction, which ends with an error if f does.
func (w *writer) inTransaction(limit portion, f func() error) error {
	if err := w.beginTransaction(limit); err != nil {
		return err
	}
	err := f()
	if err == nil {
		err = w.run(w.commit)
	}
	if err != nil {
		w.rollBack()
	}
	return err
}

// takeDeleted reports whether something was deleted since the last call.
func (w *writer) takeDeleted() (deleted bool) {
	deleted, w.deleted = w.deleted, false
	return deleted
}

// run runs a statement without arguments.
func (w *writer) run(stmt *sql.Stmt) error {
	_, err := stmt.ExecContext(context.Background())
	return err
}
