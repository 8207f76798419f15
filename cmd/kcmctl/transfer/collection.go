package transfer

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Collection is a place that has caches of the effective user.
type Collection interface {
	// Read returns the caches in their order. What cannot be read has an Err.
	Read() ([]*Cache, error)
	// ReadOne returns a cache as it is now.
	ReadOne(name string) (*ccache.Contents, error)
	// Title returns the name of a cache for people, as klist takes it.
	Title(name string) string
	// Name returns the name for a cache with that short name, "" if it cannot have one.
	Name(short string) string
	// Unique returns a name that no cache has. It fails if there is room for one only.
	Unique() (string, error)
	// Write creates or replaces a cache. It is durable when Write returns.
	Write(name string, c *ccache.Contents) error
	// SetDefault makes a cache the default one, or the primary one as libkrb5 calls it.
	SetDefault(name string) error
	// Remove removes a cache that Read returned, unless it has changed.
	Remove(c *Cache) error
	// Close ends connections.
	Close() error
}

// A Cache is a cache in a collection.
type Cache struct {
	*ccache.Contents // nil if there is an Err
	Name             string
	Title            string
	Shorts           []string // the short names that it has elsewhere, the best first
	Default          bool
	Err              error // why it cannot be read
	Damaged          error // why the Contents are not whole
	remove           func() error
}

// A short name is the part of a name that is in all kinds of collections: KCM:1000:work,
// DIR::/home/alice/tickets/tktwork and KEYRING:persistent:1000:work are "work". That of
// the first cache of a collection, as KCM:1000, is empty.
const initial = ""

var (
	errOneOnly = errors.New("there is room for one cache only")
	errChanged = errors.New("it has changed meanwhile; try again")
)

// A NameError is returned by Open for the name of no collection.
type NameError string

func (e NameError) Error() string { return string(e) }

func nameError(format string, args ...any) error { return NameError(fmt.Sprintf(format, args...)) }

// Open returns the collection of that name. uid is that of the effective user.
func Open(ctx context.Context, name string, uid uint32) (Collection, error) {
	kind, residual, found := strings.Cut(name, ":")
	if strings.HasPrefix(name, "/") || !found {
		kind, residual = "FILE", name
	}
	switch {
	case kind == "MEMORY":
		return nil, nameError("a MEMORY cache exists only within one program; no other can read or write it")
	case residual == "" && kind != "KEYRING":
		return nil, nameError("%q has no path; allowed: FILE:PATH, DIR:PATH, KEYRING:NAME, KCM:SOCKET", name)
	case kind == "FILE":
		return &file{path: residual, title: "FILE:" + residual, uid: uid}, nil
	case kind == "DIR" && strings.HasPrefix(residual, ":"):
		return &file{path: residual[1:], title: name, uid: uid}, nil
	case kind == "DIR":
		return newDir(residual), nil
	case kind == "KEYRING":
		return newKeyring(residual)
	case kind == "KCM" && strings.HasPrefix(residual, "/"):
		return Dial(ctx, residual, uid, " at "+residual)
	case kind == "KCM":
		return nil, nameError("%q is not allowed; allowed: KCM: with the path of a socket, as KCM:/run/.heim_org.h5l.kcm-socket", name)
	}
	return nil, nameError("%q is not allowed; allowed: FILE:PATH, DIR:PATH, KEYRING:NAME, KCM:SOCKET", name)
}

// randomName returns n random letters and digits.
func randomName(n int) string {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	b := make([]byte, n)
	_, _ = rand.Read(b) // it never fails
	for i := range b {
		b[i] = letters[int(b[i])%len(letters)]
	}
	return string(b)
}
