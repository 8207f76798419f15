package dbus

import (
	"context"
	"os"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/clock"
)

// An unreadable backend fails each time it is read.
type unreadable struct{ ccstore.Backend }

func (unreadable) Load(context.Context, ccstore.Owner) (*ccstore.Record, error) {
	return nil, ccstore.ErrBackend
}

// TestUnreadableStore: a caller whose collection cannot be read gets an error. An
// empty answer would mean that the caller has no caches.
func TestUnreadableStore(t *testing.T) {
	bus := startBus(t, "system")
	backend := memory.New()
	uid := uint32(os.Geteuid())
	before := ccstore.Open(backend, ccstore.Options{Clock: clock.System{}})
	kinit(t, before, uid, "x", alice())
	store := ccstore.Open(unreadable{backend}, ccstore.Options{Clock: clock.System{}})
	t.Cleanup(func() { store.Close() })
	startService(t, store, Config{Address: bus.address})
	c := bus.connect(t)
	for _, method := range []string{managedObjects, "Manager.FindCaches"} {
		var args []any
		if method != managedObjects {
			args = []any{""}
		}
		if name, text := c.fails(rootPath, method, args...); name != errFailed {
			t.Errorf("%s: %s: %s", method, name, text)
		}
	}
}
