// Package sqlite is the ccstore backend that keeps collections in an SQLite
// database, through modernc.org/sqlite, which needs no C compiler.
//
// It imports ccstore.
//
// Files: open.go opens the database and refuses what is not ours, private.go
// refuses what others could tamper with, schema.go brings it to the current
// version, backend.go reads, commit.go writes, sum.go has the checksums of rows,
// corrupt.go says what becomes of a damaged file, wal.go finds what SQLite would
// pass over in the WAL, reader.go looks at a database beside its daemon.
package sqlite
