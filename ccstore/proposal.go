package ccstore

import (
	"fmt"
	"runtime/debug"
)

// maxCommitBytes bounds what several updates put into one commit. One update may
// exceed it by itself.
const maxCommitBytes = 8 << 20

// A proposal is what updates together make of a collection.
type proposal struct {
	updates int  // the first so many are in it; an update that failed changed nothing
	failed  bool // an update failed
	after   *Collection
	changes []Change
	ops     []Op
	puts    map[uint64]int // indexes of the pendingPuts in ops, by id of the cache
	bytes   int
}

// propose runs updates one after the other, as far as there is room.
func (s *Store) propose(base *Collection, updates []*update) *proposal {
	p := &proposal{after: base, puts: make(map[uint64]int)}
	for _, u := range updates {
		tx := newTx(p.after, s.clock.Now(), s.Distrust)
		if u.err = s.run(u.f, tx); u.err == nil {
			u.err = tx.enforce(p.after, s.share(p.after))
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
	size := p.size(tx.ops)
	if len(p.ops) > 0 && p.bytes+size > maxCommitBytes {
		return false
	}
	p.bytes += size
	for _, op := range tx.ops {
		p.addOp(op)
	}
	if len(tx.ops) > 0 {
		p.after = tx.Collection
		p.changes = append(p.changes, tx.changes...)
	}
	return true
}

// addOp adds an op. A cache is put once: where it was put first, as it is at last.
func (p *proposal) addOp(op Op) {
	put, ok := op.(pendingPut)
	if !ok {
		p.ops = append(p.ops, op)
		return
	}
	if i, ok := p.puts[put.cache.id]; ok {
		p.ops[i] = pendingPut{put.cache, p.ops[i].(pendingPut).name}
		return
	}
	p.puts[put.cache.id] = len(p.ops)
	p.ops = append(p.ops, put)
}

// opBytes is about what an op takes besides what a client sent.
const opBytes = 128

// size returns how many bytes ops would add.
func (p *proposal) size(ops []Op) int {
	n := opBytes * len(ops)
	for _, op := range ops {
		switch op := op.(type) {
		case PutCredential:
			n += len(op.Data)
		case pendingPut:
			if _, ok := p.puts[op.cache.id]; !ok {
				n += len(op.cache.Principal.Append(nil))
			}
		}
	}
	return n
}

// finish returns the ops for the backend.
func (p *proposal) finish() []Op {
	for _, i := range p.puts {
		put := p.ops[i].(pendingPut)
		row := put.cache.record()
		row.Name = put.name
		p.ops[i] = PutCache{row}
	}
	return p.ops
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
