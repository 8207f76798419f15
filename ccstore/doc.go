// Package ccstore keeps the credential caches of all owners: collections and
// caches, the rules of what happens to them, transactions, and events.
//
// It imports the leaf ccache and nothing else of kcmd's. Its backends (sqlite,
// memory) and its test suite (storetest) live in folders below and import it.
//
// A collection is read as a snapshot, which never changes, and changed in a
// transaction, which is a closure. What a transaction did is durable in the
// backend before its caller, a reader or a watcher learns of it.
package ccstore
