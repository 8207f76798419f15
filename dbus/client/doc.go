// Package client calls kcmd on D-Bus, with Go types for every method, property and
// signal of org.kcmd.KCM1. The XML in introspection documents them; TestContract
// compares both.
//
// It imports nothing of kcmd's. Read its files in this order:
//
//	client.go   the connection, and calls
//	find.go     finds the bus that kcmd is on
//	types.go    the properties of the objects, and tickets
//	decode.go   makes them of dictionaries
//	manager.go  methods of the manager
//	cache.go    methods of collections and caches
//	events.go   signals
package client
