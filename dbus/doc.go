// Package dbus shows a ccstore on D-Bus: the service org.kcmd.KCM1, a tree of
// objects with properties and signals as the XML in introspection declares it.
//
// It imports ccstore, ccache, introspection and godbus, of which it is the only
// importer and which no exported name of it mentions. It never imports
// kcmserver: what a KCM client changes arrives here as an event of the store.
//
// Two things hold everywhere. Each answer and each signal is a view for one
// caller: what a caller may not see does not exist for it (view.go). And what a
// client knows after GetManagedObjects and all signals since is what a fresh
// GetManagedObjects would tell it (mirror.go, signals.go).
//
// References:
//
//	D-Bus specification
//	D-Bus API design guidelines
package dbus
