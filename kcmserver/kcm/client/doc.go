// Package client is a typed client of the KCM protocol: one method for each
// operation that kcmd supports, named after its opcode.
//
// It imports kcm, for the bytes on the wire, and the leaf ccstore/ccache, for
// principals and credentials. It serves tests and tools; libkrb5 has its own
// client, with which it shares the rules: any KCM server may be at the other end.
//
// Files: client.go connects and sends requests, caches.go has the operations on
// caches, credentials.go those on the credentials in a cache.
package client
