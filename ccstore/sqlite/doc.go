// Package sqlite is the ccstore backend that keeps collections in an SQLite
// database, through modernc.org/sqlite, which needs no C compiler.
//
// It imports ccstore.
//
// Files: open.go opens the database and refuses what is not ours, schema.go
// brings it to the current version, backend.go reads, commit.go writes, wipe.go
// sees that what was deleted is nowhere any longer, cause.go tells what is the
// matter with the disk. seal.go seals credentials and opens them, keys.go knows
// the keys of a store, rekey.go changes them.
package sqlite
