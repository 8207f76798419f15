package ccstore

import "errors"

// These errors say that what was asked for is not in the collection.
var (
	// ErrNoCache is returned where no cache has the given name or UUID.
	ErrNoCache = errors.New("no such credential cache")

	// ErrNoCredential is returned where a cache holds no such credential.
	ErrNoCredential = errors.New("no such credential")
)

// These errors come from the store or its backend.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("credential cache store is closed")

	// ErrConflict is returned by a backend's Commit when the collection is no
	// longer at the revision that the changes were made from.
	ErrConflict = errors.New("collection was changed by somebody else")

	// ErrOutcomeUnknown is wrapped by a backend's Commit when nobody can tell
	// whether the changes were stored. The collection is read again before
	// anything more is said about it.
	ErrOutcomeUnknown = errors.New("outcome of the commit is unknown")

	// ErrBackend is wrapped by what Update and View return when the backend
	// failed: disk full, I/O error.
	ErrBackend = errors.New("credential cache store failed")

	// ErrInternal is returned when a transaction's closure panicked. Nothing
	// was changed.
	ErrInternal = errors.New("internal error")
)
