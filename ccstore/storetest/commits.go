package storetest

import (
	"slices"
	"testing"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
)

// testCommitIDs checks that the backend keeps the ids of the last KeptCommits commits,
// and no others.
func testCommitIDs(t *testing.T, open Open) {
	b := open()
	var ids []uuid.UUID
	for revision := range uint64(ccstore.KeptCommits + 6) {
		id := uuid.New()
		if revision == 3 {
			id = uuid.UUID{} // NUL bytes
		}
		err := b.Commit(t.Context(), &ccstore.Commit{ID: id, Owner: owner, Revision: revision})
		if err != nil {
			t.Fatal(err)
		}
		ids = slices.Insert(ids, 0, id)
		want(t, "commits", ids[:min(len(ids), ccstore.KeptCommits)], load(t, b).Commits)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b = open()
	defer b.Close()
	want(t, "commits when opened again", ids[:ccstore.KeptCommits], load(t, b).Commits)
}

// load returns the stored collection of owner.
func load(t *testing.T, b ccstore.Backend) *ccstore.Record {
	t.Helper()
	r, err := b.Load(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// testMoveOps renames a cache to a name that another one has given up in the same
// commit, and moves credentials from one cache to another.
func testMoveOps(t *testing.T, open Open) {
	s := New(t, open())
	fill(t, s, owner, "1000:a", alice, TGT(alice), Ticket(alice, "host/a@EXAMPLE.COM"))
	fill(t, s, owner, "1000:b", bob, TGT(bob))
	fill(t, s, owner, "1000:c", bob, Ticket(bob, "host/c@EXAMPLE.COM"))
	s = corrupt(t, open, s,
		ccstore.RenameCache{ID: 1, Name: "1000:x"},
		ccstore.RenameCache{ID: 2, Name: "1000:a"},
		ccstore.MoveCredentials{From: 1, To: 3},
		ccstore.DeleteCache{ID: 1, Reason: ccstore.Removed},
	)
	want(t, "caches", []string{"1000:a", "1000:c"}, names(view(t, s, owner)))
	want(t, "credentials of a", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM"}, servers(cacheOf(t, s, owner, "1000:a")))
	want(t, "principal of a", bob, cacheOf(t, s, owner, "1000:a").Principal.String())
	want(t, "credentials of c", []string{"krbtgt/EXAMPLE.COM@EXAMPLE.COM", "host/a@EXAMPLE.COM"}, servers(cacheOf(t, s, owner, "1000:c")))
}
