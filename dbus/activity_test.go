package dbus

import (
	"testing"
	"time"
)

// TestActivity asks whether somebody needs the service, on a bus of all users and on one
// of a user.
func TestActivity(t *testing.T) {
	for _, kind := range []string{"system", "session"} {
		t.Run(kind, func(t *testing.T) {
			bus := startBus(t, kind)
			s := newService(t, newStore(t), Config{Address: bus.address, Session: kind == "session"})
			run(t, s)
			<-s.Ready()
			needed := func() bool { is, _ := s.Activity(); return is }
			if needed() {
				t.Error("needed before anybody called")
			}
			c := bus.connect(t)
			began := time.Now()
			must[string](c, rootPath, "org.freedesktop.DBus.Peer.GetMachineId")
			eventually(t, "the end of the call", func() bool { _, last := s.Activity(); return !last.Before(began) })
			if got := needed(); got != (kind == "session") {
				t.Errorf("a caller is connected: needed %v", got)
			}
			must[objects](c, rootPath, managedObjects)
			if !needed() {
				t.Error("a subscriber does not need it")
			}
			began = time.Now()
			c.conn.Close()
			eventually(t, "nobody needs it", func() bool { return !needed() })
			if _, last := s.Activity(); last.Before(began) {
				t.Errorf("needed last at %v, the subscriber left at %v", last, began)
			}
		})
	}
}
