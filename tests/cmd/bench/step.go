package main

import "slices"

// A step is something that programs do with a credential cache.
type step struct {
	name  string
	about string // for --help
	// collection: it needs a type of which there can be several caches.
	collection bool
	// changes: what the cache holds.
	changes bool
	// pure: all that a client does is measured, so that the processor time can be
	// shared out.
	pure bool
}

// steps are all of them, those that change the cache last.
var steps = []step{
	{name: "open", about: "open a cache and see whose it is, as every program does first", pure: true},
	{name: "principal", about: "whose an open cache is", pure: true},
	{name: "retrieve", about: "a ticket that is there", pure: true},
	{name: "miss", about: "a ticket that is not there", pure: true},
	{name: "iterate", about: "all tickets", pure: true},
	{name: "collection", about: "list 10 caches, as klist -l does", collection: true, pure: true},
	{name: "switch", about: "choose another cache as the default", collection: true, pure: true},
	{name: "initialize", about: "empty another cache", pure: true},
	{name: "replace", about: "put three tickets into the place of another cache, as kinit does"},
	{name: "destroy", about: "destroy another cache of three tickets"},
	{name: "store", about: "store a ticket that is not there; taken away again, unmeasured, where that is possible", changes: true},
	{name: "again", about: "store a ticket that is there", changes: true, pure: true},
	{name: "remove", about: "remove a ticket", changes: true},
}

func stepNames() []string {
	var names []string
	for _, s := range steps {
		names = append(names, s.name)
	}
	return names
}

// wanted returns those of the named steps that were asked for; all if none are
// named.
func (o *options) wanted(names ...string) []step {
	var list []step
	for _, s := range steps {
		if (len(names) == 0 || slices.Contains(names, s.name)) && (o.only == nil || slices.Contains(o.only, s.name)) {
			list = append(list, s)
		}
	}
	return list
}
