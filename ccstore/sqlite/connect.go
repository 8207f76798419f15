package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// readers limits the collections that are loaded at the same time.
const readers = 4

// busyPatience is how long a connection waits for a lock of another one, in
// milliseconds.
const busyPatience = 5000

var busyTimeout = fmt.Sprintf("busy_timeout(%d)", busyPatience)

// settings returns the PRAGMAs of the connections of a Backend.
func settings(sync Synchronous) []string {
	return []string{
		busyTimeout,
		"journal_mode(WAL)", // readers and the writer do not wait for each other
		"synchronous(" + string(sync) + ")",
		"foreign_keys(1)",
		"secure_delete(1)",      // deleted content is overwritten
		"trusted_schema(0)",     // SQL in the schema of the file calls no unsafe function
		"cell_size_check(1)",    // damage in a page is found when the page is read
		"temp_store(2)",         // in memory: no secrets in temporary files
		"wal_autocheckpoint(0)", // only wipe makes checkpoints, and clears gaps first
		fmt.Sprintf("max_page_count(%d)", maxPages),
	}
}

// readerSettings returns the PRAGMAs of the connections that load collections. Each load
// reads other pages, but for those at the roots of the trees: a larger cache would be
// memory that is never used again, of each connection.
func readerSettings(sync Synchronous) []string {
	return append(settings(sync), "query_only(1)", "cache_size(-128)") // KiB
}

// connectTo returns a pool of up to conns connections of a Backend, each with the
// setting of the URI.
func connectTo(path, setting string, pragmas []string, conns int) (*sql.DB, error) {
	registerVFS()
	return connect(path, setting+"&vfs="+vfsName, pragmas, conns)
}

// connect returns a pool of up to conns connections, each with the setting of the
// URI and the PRAGMAs.
func connect(path, setting string, pragmas []string, conns int) (*sql.DB, error) {
	query := url.Values{"_pragma": pragmas}
	uri := "file:" + (&url.URL{Path: path}).EscapedPath() + "?" + setting + "&" + query.Encode()
	db, err := sql.Open("sqlite", uri)
	if err != nil {
		return nil, err
	}
	db.SetMaxOpenConns(conns)
	db.SetMaxIdleConns(conns)
	return db, nil
}

// openReadOnly opens the database for reading. It creates no files beside it.
func openReadOnly(path string) (*sql.DB, error) {
	setting := "mode=ro"
	if !exists(path + "-wal") {
		// No process has it open, and the file is complete.
		setting += "&immutable=1"
	}
	return connect(path, setting, []string{busyTimeout, "trusted_schema(0)", "cell_size_check(1)"}, 1)
}
