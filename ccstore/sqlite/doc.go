// Package sqlite is the ccstore backend that keeps collections in an SQLite
// database, through modernc.org/sqlite, which needs no C compiler.
//
// It imports ccstore.
//
// Files: open.go opens the database and refuses what is not ours, schema.go
// brings it to the current version, backend.go reads, commit.go writes, cause.go
// tells what is the matter with the disk.
package sqlite
