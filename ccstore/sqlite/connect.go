package sqlite

import (
	"database/sql"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // registers the driver "sqlite"
)

// readers bounds the collections that are loaded at the same time.
const readers = 4

// busyPatience is how long a connection waits for another one, in milliseconds.
const busyPatience = 5000

var busyTimeout = fmt.Sprintf("busy_timeout(%d)", busyPatience)

// settings returns the PRAGMAs of each connection that uses the database.
func settings(sync Synchronous) []string {
	return []string{
		busyTimeout,
		"journal_mode(WAL)", // readers and the writer do not wait for each other
		"synchronous(" + string(sync) + ")",
		"foreign_keys(1)",
		"secure_delete(1)",            // what was destroyed is overwritten
		"trusted_schema(0)",           // nothing in the file is code
		"cell_size_check(1)",          // damage is found where it is, not later
		"temp_store(2)",               // in memory: no secrets in temporary files
		"journal_size_limit(8388608)", // bytes of the WAL that are kept between bursts
	}
}

// connect returns up to conns connections to the database, each with the PRAGMAs.
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

// openReadOnly opens the database for reading, in a way that leaves no files
// beside it if there are none.
func openReadOnly(path string) (*sql.DB, error) {
	setting := "mode=ro"
	if !exists(path + "-wal") {
		// All is in one file, and nobody has it open.
		setting += "&immutable=1"
	}
	return connect(path, setting, []string{busyTimeout, "trusted_schema(0)", "cell_size_check(1)"}, 1)
}
