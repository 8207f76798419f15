package link

import (
	"fmt"
	"testing"

	"kcmd.org/kcmd/dbus/guard"
)

// TestQueue: calls of a sender come out in order, and those of another do not
// wait for them.
func TestQueue(t *testing.T) {
	const calls = 100
	p := peers{byName: make(map[string]*Peer), new: func(name string) *Peer { return &Peer{Name: name} }}
	for i := range calls {
		if start := p.enqueue(":1", &Call{Member: fmt.Sprint(i), Call: new(guard.Call)}); start != (i == 0) {
			t.Fatalf("call %d: %v", i, start)
		}
	}
	first := p.byName[":1"]
	if !p.enqueue(":2", &Call{Call: new(guard.Call)}) {
		t.Error("another sender has to wait")
	}
	for i := range calls {
		if c := p.next(first); c.Member != fmt.Sprint(i) {
			t.Fatalf("call %s in place of %d", c.Member, i)
		}
	}
	if p.next(first) != nil || first.working {
		t.Error("work does not end")
	}
}
