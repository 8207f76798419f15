// Package kcmserver answers KCM requests over a credential cache store.
//
// It imports ccstore and its leaf ccache, the leaves kcm and selinux below, and
// the leaves budget, ratelog, trim and userns. It knows neither D-Bus nor the daemon's
// configuration.
//
// Read its files in the order in which a request meets them:
//
//	server.go   accepts connections and makes room at their limit
//	peer.go     identifies the peer
//	refusal.go  tells a peer that it is refused
//	conn.go     reads requests and sends replies
//	rawio.go    the system calls that read and write a connection
//	buffers.go  the memory of a connection that has a request
//	memory.go   charges what they hold to the account of the peer
//	ops.go      the table of operations, with their handlers
//	call.go     runs a request
//	args.go     decodes the arguments
//	names.go    rules for cache names
//	access.go   finds the caches that a peer may use, and changes them
//	signin.go   finds out who looks for a ticket in vain
//	listing.go  keeps the lists of credentials that clients iterate over
//	reply.go    the data of a reply
//	errcode.go  turns errors into codes
//	stats.go    counts answers and connections
package kcmserver
