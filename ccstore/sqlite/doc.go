// Package sqlite is the ccstore backend that keeps collections in an SQLite
// database, through modernc.org/sqlite, which needs no C compiler.
//
// It imports ccstore and the leaves seal, checksum, flock and private.
//
// Files, in the order in which to read them: schema.go and schema/ have the tables
// and bring a database to the current version. open.go opens a database in steps:
// files.go claims its files, unless other users could tamper with them, examine.go looks at what is in them, connect.go makes connections.
// backend.go, load.go and deadlines.go read. commit.go takes commits, turns.go and
// portion.go decide which share a transaction, writer.go writes them in
// transactions, change.go makes the changes of each, discard.go deletes what a
// transaction would take too long for. sum.go has the checksums of rows, sealing.go
// seals credentials, keys.go finds the key of a database, rekey.go changes it.
// wipe.go overwrites what was deleted. wal.go finds what SQLite would ignore in the
// WAL, corrupt.go quarantines a damaged file, cause.go finds what is wrong with the
// disk. reader.go reads a database beside its daemon.
package sqlite
