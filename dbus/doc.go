// Package dbus shows a ccstore on D-Bus: the service org.kcmd.KCM1, a tree of
// objects with properties and signals as the XML in package introspection
// declares it. This package has the method tables, the subscriptions, and the
// order of answers and signals.
//
// It imports ccstore, clock, budget, ratelog, introspection, dbus/view (the look of
// a collection) and dbus/link (the connection to the bus), and no D-Bus library. It
// never imports kcmserver: a change by a KCM client arrives here as an event of the
// store, and so does the expiry of a TGT.
//
// Three rules hold everywhere. What a caller may not see does not exist for it:
// every look-up is in the scope of a caller (view.Scope). The answer to
// GetManagedObjects with all signals after it is always the answer to a new
// GetManagedObjects: the store publishes a change before any reader sees it, and
// a call announces pending changes before it answers with them (read.go). No lock
// is held while anything waits for the bus or the disk, or while an answer is
// computed: the answer takes its place among the signals before.
//
// Files, in the order in which to read them: service.go (the life of the
// service), bus.go (of one connection to a bus), dispatch.go (from a call to its
// method), methods.go (the rows of a method table), standard.go, manager.go,
// caches.go, kdc.go, statistics.go and logcontrol.go (the tables), read.go and request.go
// (what a call reads),
// pending.go and announce.go (from a change to its signals), clients.go, shed.go
// and subscribe.go (the subscribers), terms.go (settings that change), activity.go (whether clients need the service), permission.go (polkit), errors.go.
//
// References:
//
//	D-Bus specification
//	D-Bus API design guidelines
package dbus
