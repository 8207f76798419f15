// Package sqlite is the ccstore backend that keeps collections in an SQLite
// database, through modernc.org/sqlite, which needs no C compiler.
//
// It imports ccstore, and the leaves ccstore/ccache, seal, checksum, flock and private.
//
// A commit writes each page that it changes to the WAL, and the time of a commit is
// mostly that of its pages and of one wait for the disk. So what changes together is
// together: a STORE changes a page each of collections (revision, ids of commits), caches
// (time of the change, once a second) and credentials. The id of a credential has its
// generation and number, so that the table is in their order and needs no index; a ticket
// of up to 4,000 bytes is in one page. kinit also changes deadlines, one tree for all
// kinds of them, which triggers keep, and with a user's first cache the index of owners.
// The names of caches have no index. TestPages counts.
//
// The price is paid where many users store by turns: their rows go into the middle of the
// table, whose pages are then divided among neighbours. With 50 users and tickets of 1.2 KiB
// a STORE changed 6.2 pages on average, with rows at the end and an index 4.6; with one user
// 3.0 and 4.0. The waits for the disk are the same.
//
// Files, in the order in which to read them:
//
//	schema.go      tables (schema/*.sql), version, upgrade
//	open.go        Open, in steps
//	files.go       claims the files of a database
//	connect.go     connections and their PRAGMAs
//	vfs.go         syncs files with fdatasync
//	examine.go     checks a database before it is used
//	integrity.go   SQLite's check of a file, and the mark of a damaged one
//	wal.go         commits in the WAL that SQLite would ignore
//	quarantine.go  renames a damaged file
//	keys.go        the key of a database
//	sealing.go     encryption of credentials
//	sum.go         checksums of rows
//	backend.go     Backend
//	stored.go      measures how full the database is
//	load.go        reads a collection
//	deadlines.go   finds the deadlines of caches
//	commit.go      takes commits
//	portion.go     limits a transaction
//	turns.go       orders the commits that wait
//	writer.go      writes commits in transactions
//	change.go      applies a commit
//	stage.go       writes a large commit in pieces
//	discard.go     deletes what is too much for one transaction
//	reserve.go     disk space for deletions on a full disk
//	wipe.go        erases deleted contents
//	overwrite.go   begins the WAL anew in its place
//	gaps.go        clears the gaps of pages, which SQLite does not
//	errors.go      damage, and errors of the disk
//	rekey.go       Rekey
//	reader.go      Reader, beside a daemon
package sqlite
