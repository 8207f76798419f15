package dbus

import (
	"testing"

	"kcmd.org/kcmd/ccstore"
)

// A change that comes while others are being announced begins a gathering of its
// own, and does not wait for the next one.
func TestChangeWhileAnnouncing(t *testing.T) {
	p := newPending()
	add := func(uid uint32) {
		p.add(ccstore.Event{Owner: ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uid}})
	}
	add(1000)
	<-p.due.C
	owners := p.gathered()
	add(1001)
	for _, o := range owners {
		p.take(o)
	}
	<-p.due.C // or the test waits for ever
	if got := p.gathered(); len(got) != 1 || got[0].UID != 1001 {
		t.Errorf("pending are %v", got)
	}
	add(1002)
	<-p.due.C
}
