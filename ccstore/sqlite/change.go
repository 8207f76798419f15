package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// A change applies one commit in the transaction of the writer.
type change struct {
	w          *writer
	ctx        context.Context
	owner      []byte
	key        *ownerKey
	collection int64
}

// apply applies c. It fails with ErrConflict before it changes anything.
func (w *writer) apply(c *ccstore.Commit) (err error) {
	m := &change{w: w, ctx: context.Background(), owner: ownerBytes(c.Owner)}
	if err := m.revise(c); err != nil {
		return err
	}
	if m.key, err = w.key.owner(m.owner); err != nil {
		return err
	}
	for _, op := range c.Ops {
		if err := m.apply(op); err != nil {
			return err
		}
	}
	return nil
}

// revise finds the collection, which must have the revision of the commit, and
// increments its revision.
func (m *change) revise(c *ccstore.Commit) error {
	o := c.Owner
	err := m.w.revise.QueryRowContext(m.ctx, c.ID[:], o.Namespace, o.UID, o.Level, c.Revision).Scan(&m.collection)
	if errors.Is(err, sql.ErrNoRows) && c.Revision == 0 {
		err = m.w.create.QueryRowContext(m.ctx, c.ID[:], o.Namespace, o.UID, o.Level).Scan(&m.collection)
	}
	if errors.Is(err, sql.ErrNoRows) {
		err = ccstore.ErrConflict
	}
	return err
}

func (m *change) apply(op ccstore.Op) error {
	switch op := op.(type) {
	case ccstore.SetDefault:
		return m.exec(m.w.setDefault, []byte(op.Name), m.collection)
	case ccstore.PutCache:
		return m.putCache(&op.CacheRecord)
	case ccstore.DeleteCache:
		return m.deleteCache(op.ID)
	case ccstore.RenameCache:
		return m.renameCache(op)
	case ccstore.ClearCache:
		return m.clearCache(op.ID)
	case ccstore.PutCredential:
		return m.putCredential(op.CredentialRecord)
	case ccstore.DeleteCredential:
		return m.execIn(op.Cache, m.w.deleteCred, op.Seq)
	case ccstore.MoveCredentials:
		return m.moveCredentials(op)
	case ccstore.QuarantineCache:
		return m.exec(m.w.quarantineCache, op.Why, m.collection, op.ID)
	case ccstore.QuarantineCredential:
		return m.execIn(op.Cache, m.w.quarantineCred, op.Seq, op.Why)
	}
	return fmt.Errorf("unknown change %T", op)
}

func (m *change) exec(stmt *sql.Stmt, args ...any) error {
	_, err := stmt.ExecContext(m.ctx, args...)
	return err
}

// execIn runs a statement on the credentials of a cache, if the cache exists. The
// first argument of the statement is the generation.
func (m *change) execIn(cache uint64, stmt *sql.Stmt, args ...any) error {
	generation, err := m.find(cache)
	if err != nil || generation == 0 {
		return err
	}
	return m.exec(stmt, append([]any{generation}, args...)...)
}

// generation returns the generation of a cache. It fails with sql.ErrNoRows.
func (m *change) generation(cache uint64) (generation int64, err error) {
	key := cacheKey{m.collection, cache}
	if generation, ok := m.w.generations[key]; ok {
		return generation, nil
	}
	if err := m.w.generation.QueryRowContext(m.ctx, m.collection, cache).Scan(&generation); err != nil {
		return 0, err
	}
	m.w.generations[key] = generation
	return generation, nil
}

// find returns the generation of a cache, 0 if there is no such cache.
func (m *change) find(cache uint64) (int64, error) {
	generation, err := m.generation(cache)
	if errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	return generation, err
}

// newGeneration returns a new generation for a cache. The caller writes it to the
// database.
func (m *change) newGeneration(cache uint64) int64 {
	generation := m.w.nextGeneration
	m.w.nextGeneration++
	m.w.generations[cacheKey{m.collection, cache}] = generation
	return generation
}

func (m *change) putCache(r *ccstore.CacheRecord) error {
	columns := []any{r.UUID[:], []byte(r.Name), r.Principal, r.KDCOffset, r.Label, r.Changed}
	for _, at := range r.Deadlines {
		columns = append(columns, at)
	}
	columns = append(columns, cacheSum(m.owner, r))
	generation, err := m.find(r.ID)
	if err != nil {
		return err
	}
	if generation == 0 {
		return m.exec(m.w.insertCache, append(columns, m.newGeneration(r.ID), m.collection, r.ID)...)
	}
	return m.exec(m.w.updateCache, append(columns, generation)...)
}

// renameCache changes the name of a cache and the checksum of its row.
func (m *change) renameCache(op ccstore.RenameCache) error {
	r := ccstore.CacheRecord{ID: op.ID}
	var id, name []byte
	var sum int64
	err := m.w.cache.QueryRowContext(m.ctx, m.collection, op.ID).Scan(&id, &name, &r.Principal, &r.KDCOffset, &r.Label, &r.Changed, &sum)
	if err != nil {
		return err
	}
	if r.UUID, err = uuid.FromBytes(id); err != nil {
		return notAsWritten(err)
	}
	r.Name = string(name)
	if err := checkSum(sum, cacheSum(m.owner, &r)); err != nil {
		return err
	}
	r.Name = op.Name
	return m.exec(m.w.renameCache, []byte(r.Name), cacheSum(m.owner, &r), m.collection, op.ID)
}

// moveCredentials gives the generation of From to the cache To, and From a new one.
func (m *change) moveCredentials(op ccstore.MoveCredentials) error {
	from, err := m.generation(op.From)
	if err != nil {
		return err
	}
	to, err := m.generation(op.To)
	if err != nil {
		return err
	}
	if err := m.exec(m.w.renewCache, m.newGeneration(op.From), from); err != nil {
		return err
	}
	if err := m.exec(m.w.renewCache, from, to); err != nil {
		return err
	}
	m.w.generations[cacheKey{m.collection, op.To}] = from
	return m.w.discard(m.ctx, to)
}

func (m *change) deleteCache(id uint64) error {
	generation, err := m.find(id)
	if err != nil || generation == 0 {
		return err
	}
	delete(m.w.generations, cacheKey{m.collection, id})
	if err := m.exec(m.w.deleteCache, generation); err != nil {
		return err
	}
	return m.w.discard(m.ctx, generation)
}

// clearCache gives a cache a new generation.
func (m *change) clearCache(id uint64) error {
	generation, err := m.find(id)
	if err != nil || generation == 0 {
		return err
	}
	if err := m.exec(m.w.renewCache, m.newGeneration(id), generation); err != nil {
		return err
	}
	return m.w.discard(m.ctx, generation)
}

func (m *change) putCredential(r ccstore.CredentialRecord) error {
	generation, err := m.generation(r.Cache)
	if err != nil {
		return err
	}
	var sealed sql.NullInt64
	r.Data, sealed = m.key.seal(generation, r.UUID, r.Data)
	return m.exec(m.w.putCred, generation, r.Seq, r.UUID[:], sealed, r.Data, credentialSum(m.owner, generation, &r))
}
