package link

import (
	"fmt"
	"testing"
)

// TestQueue: calls of a sender come out in order, and those of another do not
// wait for them.
func TestQueue(t *testing.T) {
	const calls = 100
	p := newPeers()
	var first *Peer
	for i := range calls {
		start := p.enqueue(&Call{sender: ":1", Member: fmt.Sprint(i)})
		if (start != nil) != (i == 0) {
			t.Fatalf("call %d: %v", i, start)
		}
		if start != nil {
			first = start
		}
	}
	if p.enqueue(&Call{sender: ":2"}) == nil {
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
