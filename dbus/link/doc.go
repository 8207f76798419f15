// Package link is the connection to a message bus: it sends and receives, and
// knows the other connections. It serves the calls of each peer one after the
// other, those of different peers at the same time.
//
// It imports godbus, whose messages no exported name here mentions, dbus/guard,
// which lets through what a service has use for, dbus/view for signals, budget for
// the limits of each user, safetext and introspection. What a call does is up to its Server.
//
// Files, in the order in which to read them: address.go (where the bus is),
// conn.go (the life of a connection), peers.go (who calls, and its queue),
// credentials.go (whose connection that is), call.go (a call and its answer),
// arguments.go (its arguments as a Go struct), descriptors.go (its file descriptors),
// lane.go (the order of answers and
// signals), unread.go (how much of them a user may leave unread), polkit.go
// (questions to polkit).
//
// Reference: D-Bus specification, "Message Bus Messages".
package link
