package ccstore

import "errors"

// Errors for a cache or credential that is not in the collection.
var (
	// ErrNoCache is returned where no cache has the given name or UUID.
	ErrNoCache = errors.New("no such credential cache")

	// ErrNoCredential is returned where a cache holds no such credential.
	ErrNoCredential = errors.New("no such credential")
)

// Errors of the store or its backend.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("credential cache store is closed")

	// ErrConflict is returned by a backend's Commit when the collection is no
	// longer at the revision that the changes were made from.
	ErrConflict = errors.New("collection was changed by another writer")

	// ErrOutcomeUnknown is wrapped by a backend's Commit when the changes may or
	// may not be stored. The store then loads the collection again.
	ErrOutcomeUnknown = errors.New("outcome of the commit is unknown")

	// ErrBackend is wrapped by the errors of Update and View when the backend
	// failed: disk full, I/O error.
	ErrBackend = errors.New("credential cache store failed")

	// ErrInternal is returned when a transaction's closure panicked. Nothing
	// was changed.
	ErrInternal = errors.New("internal error")
)
