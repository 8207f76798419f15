package ccstore

import (
	"fmt"
	"runtime/debug"
)

// maxCommitBytes bounds a commit of several updates, in bytes. A single update may
// exceed it.
const maxCommitBytes = 8 << 20

// A proposal is the result of several updates of a collection.
type proposal struct {
	updates int  // the first so many are in it; an update that failed changed nothing
	failed  bool // an update failed
	after   *Collection
	changes []Change
	ops     []Op
	bytes   int
}

// propose runs updates one after the other, as far as there is room.
func (s *Store) propose(base *Collection, updates []*update) *proposal {
	p := &proposal{after: base}
	for _, u := range updates {
		tx := s.newTx(p.after)
		if u.err = s.run(u.f, tx); u.err == nil {
			u.err = tx.enforce(s.share(p.after))
		}
		if u.err != nil {
			p.failed = true
		} else if !p.add(tx) {
			break
		}
		p.updates++
	}
	return p
}

// add adds what a transaction did, or reports that there is no room for it.
func (p *proposal) add(tx *Tx) bool {
	size := opsSize(tx.ops)
	switch {
	case len(tx.ops) == 0:
		return true
	case len(p.ops) == 0:
		p.ops, p.changes = tx.ops, tx.changes
	case p.bytes+size > maxCommitBytes:
		return false
	default:
		p.ops = append(p.ops, tx.ops...)
		p.changes = append(p.changes, tx.changes...)
	}
	p.bytes += size
	p.after = tx.finish()
	return true
}

// opBytes is about the size of an op besides the bytes of the client.
const opBytes = 128

// opsSize returns about how many bytes ops take in a commit.
func opsSize(ops []Op) int {
	n := opBytes * len(ops)
	for _, op := range ops {
		switch op := op.(type) {
		case PutCredential:
			n += len(op.Data)
		case pendingPut:
			n += int(principalSize(op.cache.Principal))
		}
	}
	return n
}

// finish returns the ops for the backend. A cache is put once: where it was put
// first, as it is at last.
func (p *proposal) finish() []Op {
	first := make(map[uint64]int) // index of the first put, by id of the cache
	ops := p.ops[:0]
	for _, op := range p.ops {
		if put, ok := op.(pendingPut); ok {
			i, again := first[put.cache.id]
			if !again {
				i = len(ops)
				ops = append(ops, op)
				first[put.cache.id] = i
			}
			ops[i] = pendingPut{put.cache, ops[i].(pendingPut).name}
			continue
		}
		ops = append(ops, op)
	}
	for _, i := range first {
		put := ops[i].(pendingPut)
		row := put.cache.record()
		row.Name = put.name
		ops[i] = PutCache{row}
	}
	return ops
}

// run calls f, whose panic fails this one transaction and no other.
func (s *Store) run(f func(*Tx) error, tx *Tx) (err error) {
	defer func() {
		if r := recover(); r != nil {
			s.log.Error("transaction panicked", "owner", tx.owner, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = ErrInternal
		}
	}()
	return f(tx)
}
