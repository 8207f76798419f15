package sqlite

import (
	"math"

	"kcmd.org/kcmd/ccstore"
)

// A commit may have more credentials than one transaction shall write. Those of caches
// that it creates or clears are written in pieces, each in a transaction of one portion
// among the commits of others, to generations of no cache. The last transaction applies
// the rest of the commit, and gives the generations to the caches. Until then they are
// in the table discarded, so that after a failure or a kill they are deleted.

// A staging is a large commit that is written in pieces.
type staging struct {
	generations map[uint64]int64        // of caches, not in use before the last transaction
	credentials []ccstore.PutCredential // of those generations, still to be written
	rest        []ccstore.Op            // what the last transaction applies
	began       bool                    // the generations are in the table discarded
}

// notStaged is the writer's firstStaged if there is no staging.
const notStaged = math.MaxInt64

// plan divides a commit. It stages credentials up to the first op that may depend on
// one of them.
func (m *change) plan(ops []ccstore.Op) (*staging, error) {
	s := &staging{generations: make(map[uint64]int64)}
	for i, op := range ops {
		switch op := op.(type) {
		case ccstore.PutCache:
			stored, err := m.find(op.ID)
			if err != nil {
				return nil, err
			}
			if stored == nil && s.generations[op.ID] == 0 {
				if s.generations[op.ID], err = m.w.newGeneration(); err != nil {
					return nil, err
				}
			}
		case ccstore.ClearCache:
			if s.generations[op.ID] != 0 {
				s.rest = append(s.rest, ops[i:]...)
				return s, nil
			}
			generation, err := m.w.newGeneration()
			if err != nil {
				return nil, err
			}
			s.generations[op.ID] = generation
		case ccstore.PutCredential:
			if s.generations[op.Cache] != 0 {
				s.credentials = append(s.credentials, op)
				continue
			}
		case ccstore.SetDefault:
		default:
			s.rest = append(s.rest, ops[i:]...)
			return s, nil
		}
		s.rest = append(s.rest, op)
	}
	return s, nil
}

// stage writes the next piece of a large commit, and reports whether there was one.
func (w *writer) stage(r *request) (more bool, err error) {
	m, err := w.newChange(r.commit.Owner)
	if err != nil {
		return false, err
	}
	if r.staging == nil {
		w.firstStaged = w.nextGeneration
		if err := m.findCollection(r.commit.Owner); err != nil {
			return false, err
		}
		if r.staging, err = m.plan(r.commit.Ops); err != nil {
			return false, err
		}
		for _, generation := range r.staging.generations {
			w.firstStaged = min(w.firstStaged, generation)
		}
	}
	if len(r.staging.credentials) == 0 {
		return false, nil
	}
	return true, w.inTransaction(onePortion, func() error { return m.stage(r.staging) })
}

func (m *change) stage(s *staging) error {
	if !s.began {
		for _, generation := range s.generations {
			if err := m.exec(m.w.noteDiscarded, generation); err != nil {
				return err
			}
		}
	}
	s.began = true
	for len(s.credentials) > 0 && !m.w.portion.spent() {
		r := s.credentials[0].CredentialRecord
		s.credentials = s.credentials[1:]
		if err := m.insertCredential(s.generations[r.Cache], r); err != nil {
			return err
		}
		m.w.portion.take(portion{rows: 1, bytes: len(r.Data)})
	}
	return nil
}

// endStaging lets deleteDiscarded delete what is left of a staging.
func (w *writer) endStaging() {
	w.discarded = w.discarded || w.firstStaged != notStaged
	w.firstStaged = notStaged
}

// takeGeneration returns the staged generation of a cache, or a new one.
func (m *change) takeGeneration(cache uint64) (generation int64, err error) {
	generation, ok := m.staged[cache]
	if !ok {
		return m.w.newGeneration()
	}
	delete(m.staged, cache)
	return generation, m.exec(m.w.forgetDiscarded, generation)
}
