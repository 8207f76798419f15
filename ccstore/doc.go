// Package ccstore keeps the credential caches of all owners: collections and
// caches, the rules of what happens to them, transactions, and events.
//
// It imports the leaves ccache and clock and nothing else of kcmd's. Its backends (sqlite,
// memory) and its test suite (storetest) live in folders below and import it.
//
// A collection is read as a snapshot, which never changes, and changed in a
// transaction, which is a closure. What a transaction did is durable in the
// backend before its caller, a reader or a watcher learns of it.
//
// Files, in the order in which to read them: owner.go, collection.go and cache.go
// are what is stored; backend.go is what keeps it, record.go makes a collection of
// what a backend holds. tx.go has the changes that callers make, on a draft
// (draft.go); index.go has the indexes of a cache. expiry.go, deadline.go, quota.go and reap.go are the rules of expiry,
// limits and removal. store.go is the store, loaded.go its collections in memory,
// resident.go drops some of them, commit.go and proposal.go commit updates, event.go
// says what watchers get.
// hold.go keeps a collection in memory for a watcher, announce.go publishes notices.
// apply.go, diff.go and follow.go are for what other writers do. check.go verifies
// all of it.
package ccstore
