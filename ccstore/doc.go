// Package ccstore keeps the credential caches of all owners: collections and
// caches, their rules, transactions, and events.
//
// It imports the leaves ccache, clock and trim, and nothing else of kcmd. Its backends
// (sqlite, memory) and its test suite (storetest) are in folders below and import it.
//
// A collection is read as a snapshot, which never changes, and changed in a
// transaction, which is a closure. The changes of a transaction are durable in the
// backend before its caller, a reader or a watcher sees them.
//
// Read its files in this order:
//
//	owner.go, collection.go, cache.go     the stored things; index.go finds credentials
//	backend.go, record.go                 what a backend keeps, and a collection made of it
//	tx.go, draft.go                       the changes of callers, on a copy
//	expiry.go, deadline.go, reap.go       when tickets and caches expire, and are removed
//	setting.go                            what libkrb5 notes about a cache
//	renewal.go                            when a TGT is renewed, and how that goes
//	quota.go, size.go                     limits, and how much memory things take
//	store.go, loaded.go, hold.go          the store, its collections in memory; resident.go drops some
//	commit.go, proposal.go                several updates in one commit
//	event.go, announce.go                 what watchers get
//	apply.go, diff.go, follow.go          what other writers do
//	levels.go, outage.go, errors.go       SELinux levels, failures of the backend
//	check.go, health.go                   verifies all of it; how it is
package ccstore
