// Package view is the shape of the store on D-Bus: object paths, the properties
// of collections and caches, the description of a ticket, and signals as the
// difference of two views of a collection.
//
// It is pure: it reads immutable snapshots of collections, and has no lock, no
// connection, no store, and no clock. It imports ccstore and ccache for
// snapshots, introspection for the declared properties, safetext, and of godbus
// only the types of object paths and variants, under names of its own, so that
// package dbus does not import godbus.
//
// Files, in the order in which to read them: scope.go (which collections a
// caller sees), path.go (object paths), collection.go, cache.go, renewal.go,
// origin.go, ticket.go (properties), signal.go and tickets.go (what changed, as
// signals), notice.go (TGTs that expire or are renewed), text.go.
//
// Reference: the XML in package introspection.
package view
