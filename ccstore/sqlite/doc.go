// Package sqlite is the ccstore backend that keeps collections in an SQLite
// database, through modernc.org/sqlite, which needs no C compiler.
//
// It imports ccstore and the leaf userns.
//
// Files: open.go opens the database and refuses what is not ours, private.go
// refuses what others could tamper with, schema.go brings it to the current
// version, backend.go reads, commit.go writes, wipe.go sees that what was deleted
// is nowhere any longer, cause.go tells what is the matter with the disk. sum.go
// has the checksums of rows, seal.go seals credentials and opens them, keys.go
// knows the keys of a store, rekey.go changes them. corrupt.go says what becomes
// of a damaged file, wal.go finds what SQLite would pass over in the WAL, reader.go
// looks at a database beside its daemon.
package sqlite
