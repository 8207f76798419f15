package sqlite

import (
	"fmt"
	"slices"
	"testing"

	"kcmd.org/kcmd/ccstore"
)

// waiting returns a commit of an owner that writes credentials of that size.
func waiting(uid uint32, credentials, bytes int) *request {
	c := &ccstore.Commit{Owner: ccstore.Owner{UID: uid}}
	for range credentials {
		c.Ops = append(c.Ops, ccstore.PutCredential{CredentialRecord: ccstore.CredentialRecord{Data: make([]byte, bytes)}})
	}
	return &request{commit: c}
}

// take returns the owners of the commits of the next transaction.
func take(t *turns) (uids []uint32) {
	for _, r := range t.next() {
		uids = append(uids, r.commit.Owner.UID)
	}
	return uids
}

// TestTurns has small and large commits wait: transactions of small commits are
// bounded, and no small commit waits for two large ones.
func TestTurns(t *testing.T) {
	var w turns
	if w.ready() != nil {
		t.Error("ready without a commit that waits")
	}
	for _, r := range []*request{
		waiting(3, 1, 1000), waiting(1, 5000, 10), waiting(2, 1, 300<<10), waiting(4, 400, 10), waiting(5, 200, 10), waiting(6, 1, 1000),
	} {
		w.add(r)
	}
	for i, want := range [][]uint32{{3, 4}, {1}, {5, 6}, {2}, nil} {
		if wait := w.ready() != nil; wait != (want != nil) {
			t.Errorf("transaction %d: ready: %v", i+1, wait)
		}
		if got := take(&w); !slices.Equal(got, want) {
			t.Errorf("transaction %d: %v, want %v", i+1, got, want)
		}
	}
	if w.ready() != nil {
		t.Error("ready without a commit that waits")
	}
}

// TestTurnsEnd has small commits arrive faster than transactions take them: a large
// commit still gets its turn.
func TestTurnsEnd(t *testing.T) {
	var w turns
	for i := range uint32(5) {
		w.add(waiting(10+i, 400, 10))
	}
	w.add(waiting(1, 5000, 10))
	for i := range uint32(7) {
		w.add(waiting(20+i, 400, 10))
		w.add(waiting(30+i, 400, 10))
		if got := take(&w); slices.Equal(got, []uint32{1}) {
			return
		}
	}
	t.Error(fmt.Sprint("the large commit has had no turn among 7, small ones wait: ", len(w.small)))
}

// TestTurnsAgain has a large commit take several turns: others that came later go in
// between, but no other large one.
func TestTurnsAgain(t *testing.T) {
	var w turns
	r := waiting(1, 5000, 10)
	w.add(r)
	w.add(waiting(2, 5000, 10))
	w.add(waiting(3, 1, 10))
	for i, want := range []uint32{1, 3, 1, 2} {
		got := take(&w)
		if !slices.Equal(got, []uint32{want}) {
			t.Errorf("transaction %d: %v, want %d", i+1, got, want)
		}
		if i == 0 {
			w.again(r)
		}
	}
}

// TestTurnsBatch checks the limit of commits in a transaction.
func TestTurnsBatch(t *testing.T) {
	var w turns
	for i := range uint32(maxBatch + 3) {
		w.add(waiting(i, 1, 10))
	}
	if a, b := len(w.next()), len(w.next()); a != maxBatch || b != 3 {
		t.Errorf("transactions of %d and %d commits, want %d and 3", a, b, maxBatch)
	}
}
