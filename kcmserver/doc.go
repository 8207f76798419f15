// Package kcmserver answers KCM requests over a credential cache store.
//
// It imports ccstore and its leaf ccache, and the leaves kcm and selinux below;
// it knows neither D-Bus nor the daemon's configuration.
//
// Files: server.go accepts connections and bounds them, conn.go speaks with one
// client, ops.go is the table of operations with their handlers, names.go says
// whose a cache name is, access.go which caches a client may reach, errcode.go
// turns errors into codes, stats.go counts and logs.
package kcmserver
