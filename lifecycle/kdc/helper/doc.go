// Package helper is the program that talks to Kerberos KDCs for kcmd. It runs the
// programs of libkrb5, so that krb5.conf, DNS, KDC proxies and plugins work as they do
// for users, on a private cache of type FILE.
//
// It imports lifecycle/kdc (requests and replies), ccache, flock and safetext.
//
// Files, in the order in which to read them: helper.go (a request), room.go (the
// private directory), filecache.go (the cache in it), program.go (a program of
// libkrb5), outcome.go (what its messages mean), acquire.go (tickets by passwords and
// keytabs), verify.go (of what KDC a ticket is), keytab.go (keys of the host),
// decrypt.go (a ticket by such a key), routes.go (of the machine), confine.go (limits of the process).
package helper
