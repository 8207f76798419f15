// Package kcmserver answers KCM requests over a credential cache store.
//
// It imports ccstore and its leaf ccache, the leaves kcm and selinux below, and
// the leaves ratelog and userns. It knows neither D-Bus nor the daemon's
// configuration.
//
// Files, in the order in which a request meets them: server.go accepts
// connections and bounds their number, peer.go identifies the peer, conn.go reads
// requests and sends replies, large.go bounds the memory of large ones. ops.go is
// the table of operations with their handlers, args.go decodes the arguments,
// call.go runs a request, names.go has the rules for cache names, access.go finds
// the caches that a peer may use and changes them, listing.go keeps the lists that
// clients go through. reply.go has the reply's data, errcode.go turns errors into
// codes, stats.go counts.
package kcmserver
