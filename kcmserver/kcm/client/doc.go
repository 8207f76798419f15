// Package client is a client of the KCM protocol with a method for each
// operation that kcmd supports, named after its opcode.
//
// It imports kcm, for the bytes on the wire, and the leaf ccstore/ccache, for
// principals and credentials. cmd/kcmd and the tests use it; libkrb5 has a client
// of its own. The server need not be kcmd.
//
// Files, in the order in which to read them: client.go (connects and sends requests),
// caches.go (operations on caches), credentials.go (operations on the credentials in a
// cache).
package client
