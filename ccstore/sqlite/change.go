package sqlite

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"

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
	staged     map[uint64]int64 // generations with credentials for caches of this commit
}

func (w *writer) newChange(owner ccstore.Owner) (m *change, err error) {
	m = &change{w: w, ctx: context.Background(), owner: ownerBytes(owner)}
	m.key, err = w.key.owner(m.owner)
	return m, err
}

// apply applies a commit, or what staging has left of it. It fails with ErrConflict
// before it changes anything.
func (w *writer) apply(r *request) error {
	m, err := w.newChange(r.commit.Owner)
	if err != nil {
		return err
	}
	if err := m.revise(r.commit); err != nil {
		return err
	}
	ops := r.commit.Ops
	if r.staging != nil {
		ops, m.staged = r.staging.rest, maps.Clone(r.staging.generations)
	}
	for _, op := range ops {
		if err := m.apply(op); err != nil {
			return err
		}
	}
	if r.staging != nil {
		clear(w.caches)  // whose last credentials are not those of their new generations
		w.deleted = true // it may have overwritten some of its own
	}
	return nil
}

// findCollection finds the collection, if it exists.
func (m *change) findCollection(o ccstore.Owner) error {
	if m.collection = m.w.collections[o]; m.collection != 0 {
		return nil
	}
	err := m.w.findCollection.QueryRowContext(m.ctx, o.Namespace, o.UID, o.Level).Scan(&m.collection)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	if err == nil {
		m.w.collections[o] = m.collection
	}
	return err
}

// revise finds the collection, which must have the revision of the commit, and
// increments its revision.
func (m *change) revise(c *ccstore.Commit) error {
	o := c.Owner
	if err := m.findCollection(o); err != nil {
		return err
	}
	if m.collection == 0 && c.Revision == 0 {
		return m.w.create.QueryRowContext(m.ctx, c.ID[:], o.Namespace, o.UID, o.Level).Scan(&m.collection)
	}
	result, err := m.w.revise.ExecContext(m.ctx, c.ID[:], m.collection, c.Revision)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return cmp.Or(err, ccstore.ErrConflict)
	}
	return nil
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
		m.w.deleted = true
		return m.execIn(op.Cache, op.Seq, m.w.deleteCred)
	case ccstore.MoveCredentials:
		return m.moveCredentials(op)
	case ccstore.QuarantineCache:
		return m.execOn(op.ID, m.w.quarantineCache, op.Why)
	case ccstore.QuarantineCredential:
		return m.execIn(op.Cache, op.Seq, m.w.quarantineCred, op.Why)
	}
	return fmt.Errorf("unknown change %T", op)
}

func (m *change) exec(stmt *sql.Stmt, args ...any) error {
	_, err := stmt.ExecContext(m.ctx, args...)
	return err
}

// execOn runs a statement whose last arguments are a cache.
func (m *change) execOn(cache uint64, stmt *sql.Stmt, args ...any) error {
	return m.exec(stmt, append(args, m.collection, cache)...)
}

// execIn runs a statement on a credential of a cache, if the cache exists. The last
// argument of the statement is the id of the credential.
func (m *change) execIn(cache, seq uint64, stmt *sql.Stmt, args ...any) error {
	stored, err := m.find(cache)
	if err != nil || stored == nil {
		return err
	}
	id, err := credentialID(stored.generation, seq)
	if err != nil {
		return err
	}
	return m.exec(stmt, append(args, id)...)
}

// The parts of the id of a credential.
const (
	seqBits       = 32
	maxSeq        = 1<<seqBits - 1
	maxGeneration = 1<<(63-seqBits) - 1
)

// credentialID returns the id of a credential. It fails for a cache in which more
// credentials were stored than have numbers.
func credentialID(generation int64, seq uint64) (int64, error) {
	if seq > maxSeq || generation > maxGeneration {
		return 0, errors.New("no number is left for a credential of this cache")
	}
	return generation<<seqBits | int64(seq), nil
}

// find returns a cache of the database, nil if there is no such cache.
func (m *change) find(cache uint64) (*storedCache, error) {
	stored, err := m.get(cache)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return stored, err
}

// get returns a cache of the database. It fails with sql.ErrNoRows.
func (m *change) get(cache uint64) (*storedCache, error) {
	key := cacheKey{m.collection, cache}
	if stored, ok := m.w.caches[key]; ok {
		return stored, nil
	}
	stored := &storedCache{}
	var name []byte
	columns := []any{&stored.generation, &stored.sum, &stored.lastSeq, &name}
	for kind := range stored.deadlines {
		columns = append(columns, &stored.deadlines[kind])
	}
	if err := m.w.findCache.QueryRowContext(m.ctx, m.collection, cache).Scan(columns...); err != nil {
		return nil, err
	}
	stored.name = string(name)
	m.w.caches[key] = stored
	return stored, nil
}

func (m *change) putCache(r *ccstore.CacheRecord) error {
	stored, err := m.find(r.ID)
	if err != nil {
		return err
	}
	sum := cacheSum(m.owner, r)
	row := append(make([]any, 0, 14), r.UUID[:], r.Principal, r.KDCOffset, r.Label, r.Changed, r.Renewal, sum, m.collection, r.ID)
	if stored == nil {
		return m.insertCache(r, row)
	}
	if stored.sum != sum {
		stored.sum = sum
		err = m.exec(m.w.updateCache, row...)
	}
	if err == nil && stored.name != r.Name {
		stored.name = r.Name
		m.w.deleted = true
		err = m.execOn(r.ID, m.w.renameCache, []byte(r.Name), sum)
	}
	for kind, at := range r.Deadlines {
		if err == nil && stored.deadlines[kind] != at {
			stored.deadlines[kind] = at
			err = m.execOn(r.ID, m.w.setDeadline[kind], at)
		}
	}
	return err
}

// insertCache inserts a cache. row has all columns but those of a storedCache.
func (m *change) insertCache(r *ccstore.CacheRecord, row []any) error {
	generation, err := m.takeGeneration(r.ID)
	if err != nil {
		return err
	}
	row = append(row, generation, []byte(r.Name))
	for _, at := range r.Deadlines {
		row = append(row, at)
	}
	m.w.caches[cacheKey{m.collection, r.ID}] = &storedCache{generation: generation, sum: cacheSum(m.owner, r), name: r.Name, deadlines: r.Deadlines}
	return m.exec(m.w.insertCache, row...)
}

// newGeneration returns a generation that no row has.
func (w *writer) newGeneration() (generation int64, err error) {
	if w.nextGeneration == w.usedGeneration {
		err = w.findFreeGenerations()
	}
	generation = w.nextGeneration
	w.nextGeneration++
	return generation, err
}

// findFreeGenerations finds the next ones that are free, after the last one those that are
// free again. It reads all caches, and so returns as many as follow each other.
func (w *writer) findFreeGenerations() error {
	for _, from := range []int64{w.nextGeneration, 1} {
		err := w.freeGenerations.QueryRowContext(context.Background(), from, maxGeneration+1).Scan(&w.nextGeneration, &w.usedGeneration)
		if err != nil || w.nextGeneration <= maxGeneration {
			return err
		}
	}
	return errors.New("no number is left for a cache")
}

// setGeneration gives a cache another generation.
func (m *change) setGeneration(cache uint64, stored *storedCache, generation int64) error {
	stored.generation = generation
	return m.execOn(cache, m.w.setGeneration, generation)
}

// renameCache changes the name of a cache and the checksum of its row.
func (m *change) renameCache(op ccstore.RenameCache) error {
	stored, err := m.get(op.ID)
	if err != nil {
		return err
	}
	r := ccstore.CacheRecord{ID: op.ID}
	var id, name []byte
	var sum int64
	err = m.w.cache.QueryRowContext(m.ctx, m.collection, op.ID).Scan(&id, &name, &r.Principal, &r.KDCOffset, &r.Label, &r.Changed, &r.Renewal, &sum)
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
	r.Name, stored.name = op.Name, op.Name
	stored.sum = cacheSum(m.owner, &r)
	m.w.deleted = true
	return m.execOn(op.ID, m.w.renameCache, []byte(r.Name), stored.sum)
}

// moveCredentials gives the generation of From to the cache To, and From a new one.
func (m *change) moveCredentials(op ccstore.MoveCredentials) error {
	from, err := m.get(op.From)
	if err != nil {
		return err
	}
	to, err := m.get(op.To)
	if err != nil {
		return err
	}
	former, moved := to.generation, from.generation
	to.lastSeq = max(to.lastSeq, from.lastSeq)
	if err := m.setGeneration(op.To, to, moved); err != nil {
		return err
	}
	generation, err := m.w.newGeneration()
	if err != nil {
		return err
	}
	if err := m.setGeneration(op.From, from, generation); err != nil {
		return err
	}
	_, err = m.w.discard(m.ctx, former)
	return err
}

func (m *change) deleteCache(id uint64) error {
	stored, err := m.find(id)
	if err != nil || stored == nil {
		return err
	}
	delete(m.w.caches, cacheKey{m.collection, id})
	m.w.deleted = true
	if err := m.execOn(id, m.w.deleteCache); err != nil {
		return err
	}
	_, err = m.w.discard(m.ctx, stored.generation)
	return err
}

// clearCache deletes the credentials of a cache. Unless those were all and none are
// staged, it gets another generation.
func (m *change) clearCache(id uint64) error {
	stored, err := m.find(id)
	if err != nil || stored == nil {
		return err
	}
	all, err := m.w.discard(m.ctx, stored.generation)
	if err != nil || all && m.staged[id] == 0 {
		return err
	}
	generation, err := m.takeGeneration(id)
	if err != nil {
		return err
	}
	return m.setGeneration(id, stored, generation)
}

func (m *change) putCredential(r ccstore.CredentialRecord) error {
	stored, err := m.get(r.Cache)
	if err != nil {
		return err
	}
	if r.Seq <= stored.lastSeq {
		m.w.deleted = true
	}
	stored.lastSeq = max(stored.lastSeq, r.Seq)
	return m.insertCredential(stored.generation, r)
}

func (m *change) insertCredential(generation int64, r ccstore.CredentialRecord) error {
	id, err := credentialID(generation, r.Seq)
	if err != nil {
		return err
	}
	var sealed sql.NullInt64
	r.Data, sealed = m.key.seal(generation, r.UUID, r.Data)
	return m.exec(m.w.putCred, id, r.UUID[:], sealed, r.Data, credentialSum(m.owner, generation, &r))
}
