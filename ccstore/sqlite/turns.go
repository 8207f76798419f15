package sqlite

import (
	"slices"

	"kcmd.org/kcmd/ccstore"
)

// Turns orders the commits that wait. Each owner has at most one of them. Small
// commits share transactions of one portion, in order of arrival; a large commit has
// transactions of its own. After each of these all small ones that wait by then go
// before the next one. So a small commit waits for one of them at most, and a large one
// only for earlier ones.
type turns struct {
	small, large []*request
	ahead        int // small ones before the first large one
}

// maxBatch limits the commits of a transaction.
const maxBatch = 256

func (t *turns) add(r *request) {
	r.size = sizeOf(r.commit)
	if !r.isLarge() {
		t.small = append(t.small, r)
		return
	}
	if len(t.large) == 0 {
		t.ahead = len(t.small)
	}
	t.large = append(t.large, r)
}

var always = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// ready returns a closed channel if a commit waits, nil otherwise.
func (t *turns) ready() <-chan struct{} {
	if len(t.small)+len(t.large) == 0 {
		return nil
	}
	return always
}

// next returns the commits of the next transaction.
func (t *turns) next() (batch []*request) {
	if len(t.large) > 0 && t.ahead <= 0 {
		batch, t.large = t.large[:1:1], t.large[1:]
		t.ahead = len(t.small)
		return batch
	}
	n, left := 0, onePortion
	for n < min(len(t.small), maxBatch) && t.small[n].size.fits(left) {
		left.take(t.small[n].size)
		n++
	}
	batch, t.small = t.small[:n:n], t.small[n:]
	t.ahead -= n
	return batch
}

// again lets the commit that had the last turn have the next turn of large commits.
func (t *turns) again(r *request) { t.large = slices.Insert(t.large, 0, r) }

// isLarge reports whether a commit is too large for a transaction that others share.
func (r *request) isLarge() bool { return !r.size.fits(onePortion) }

// sizeOf estimates how much a commit writes.
func sizeOf(c *ccstore.Commit) portion {
	p := portion{rows: len(c.Ops)}
	for _, op := range c.Ops {
		switch op := op.(type) {
		case ccstore.PutCache:
			p.bytes += len(op.Name) + len(op.Principal)
		case ccstore.PutCredential:
			p.bytes += len(op.Data)
		}
	}
	return p
}
