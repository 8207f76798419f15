package dbus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
)

// pipeWith returns the end of a pipe that holds text, whose other end is closed.
func pipeWith(t testing.TB, text string) godbus.UnixFD {
	t.Helper()
	r, w := openPipe(t)
	if _, err := w.WriteString(text); err != nil {
		t.Fatal(err)
	}
	w.Close()
	return r
}

// openPipe returns both ends of a pipe, which end with the test.
func openPipe(t testing.TB) (godbus.UnixFD, *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return godbus.UnixFD(r.Fd()), w // Fd has it block, as most programs have
}

// memfd returns a file in memory that holds text, read up to its end.
func memfd(t testing.TB, text string) godbus.UnixFD {
	t.Helper()
	fd, err := unix.MemfdCreate("secret", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "secret")
	t.Cleanup(func() { f.Close() })
	if _, err := f.WriteString(text); err != nil {
		t.Fatal(err)
	}
	return godbus.UnixFD(fd)
}

// ownDescriptors returns how many file descriptors this process has.
func ownDescriptors(t testing.TB) int {
	t.Helper()
	list, err := filepath.Glob("/proc/self/fd/*")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestSecrets passes passwords and keytabs in each way, and in wrong ones.
func TestSecrets(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kdc := &fakeKDC{store: store}
	startService(t, store, Config{Address: bus.address, KDC: kdc, Acquires: true})
	c := bus.connect(t)
	own := collectionPath(uid)
	options := func(o map[string]any) map[string]godbus.Variant { return variants(o) }

	socket, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := unix.Write(socket[1], []byte("secret")); err != nil {
		t.Fatal(err)
	}
	unix.Close(socket[1])
	defer unix.Close(socket[0])
	for what, fd := range map[string]godbus.UnixFD{
		"pipe": pipeWith(t, "secret\n"), "memory": memfd(t, "secret"), "socket": godbus.UnixFD(socket[0]),
	} {
		path := must[godbus.ObjectPath](c, own, "Collection.AcquireWithPassword", "alice", fd,
			options(map[string]any{"cache": fmt.Sprintf("KCM:%d:a", uid), "if-needed": true, "lifetime": uint16(60), "forwardable": true}))
		if path != pathOf(t, store, uid, "new") {
			t.Errorf("%s: %s", what, path)
		}
	}
	must[godbus.ObjectPath](c, own, "Collection.AcquireWithKeytab", "", pipeWith(t, strings.Repeat("k", 60_000)), options(nil))
	if err := c.call(own, "Collection.ChangePassword", "alice", pipeWith(t, "old"), pipeWith(t, "newer")).Err; err != nil {
		t.Error(err)
	}
	want := fmt.Sprintf("acquire alice 6 %d:a true 60", uid)
	if got := strings.Join(kdc.taken(), ", "); got != strings.Repeat(want+", ", 3)+"acquire  60000  false 0, change alice [3 5]" {
		t.Errorf("requests %s", got)
	}
	if len(c.received("InterfacesAdded")) != 0 {
		t.Error("signals without a subscription")
	}

	disk, err := os.Open("/etc/passwd")
	if err != nil {
		t.Fatal(err)
	}
	defer disk.Close()
	_, writeEnd := openPipe(t)
	null, err := os.Open("/dev/zero")
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for what, test := range map[string]struct {
		fd   godbus.UnixFD
		want string
	}{
		"a file on a disk":   {godbus.UnixFD(disk.Fd()), errDescriptor},
		"a device":           {godbus.UnixFD(null.Fd()), errDescriptor},
		"the wrong end":      {godbus.UnixFD(writeEnd.Fd()), errDescriptor},
		"too long":           {pipeWith(t, strings.Repeat("x", maxPassword+1)), errDescriptor},
		"too long in memory": {memfd(t, strings.Repeat("x", maxPassword+1)), errDescriptor},
		"nothing":            {pipeWith(t, ""), errInvalidArgs},
		"an empty line":      {pipeWith(t, "\n"), errInvalidArgs},
		"two lines":          {pipeWith(t, "a\nb\n"), errInvalidArgs},
		"a zero byte":        {pipeWith(t, "a\x00"), errInvalidArgs},
	} {
		if name, text := c.fails(own, "Collection.AcquireWithPassword", "alice", test.fd, options(nil)); name != test.want {
			t.Errorf("%s: %s (%s), want %s", what, name, text, test.want)
		}
	}
	same := pipeWith(t, "x")
	if name, text := c.fails(own, "Collection.ChangePassword", "alice", same, same); name != errInvalidArgs && name != errDescriptor {
		t.Errorf("the same descriptor twice: %s (%s)", name, text)
	}
	for what, args := range map[string][]any{
		"no client":                 {"", memfd(t, "x"), options(nil)},
		"a client with a newline":   {"a\nb", memfd(t, "x"), options(nil)},
		"an option as a client":     {"-R", memfd(t, "x"), options(nil)},
		"a cache of somebody else":  {"alice", memfd(t, "x"), options(map[string]any{"cache": "KCM:4242:x"})},
		"an unknown option":         {"alice", memfd(t, "x"), options(map[string]any{"password": "x"})},
		"an option of a wrong type": {"alice", memfd(t, "x"), options(map[string]any{"forwardable": "yes"})},
	} {
		if name, text := c.fails(own, "Collection.AcquireWithPassword", args...); name != errInvalidArgs {
			t.Errorf("%s: %s (%s)", what, name, text)
		}
	}
	if requests := kdc.taken(); len(requests) > 0 {
		t.Errorf("requests %v", requests)
	}
}

// TestEndlessSecrets passes pipes that never end, and more of them than a user may. Later
// calls are answered, those of another connection with secrets too, and in the end
// nothing is left open.
func TestEndlessSecrets(t *testing.T) {
	bus := startBus(t, "system")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	kdc := &fakeKDC{store: store}
	startService(t, store, Config{Address: bus.address, KDC: kdc, Acquires: true})
	hostile := bus.connect(t)
	own := collectionPath(uid)
	must[uint32](hostile, own, "Collection.DestroyAll")
	before := ownDescriptors(t)
	most := int(budget.Default().Descriptors.Account)
	calls := make([]*godbus.Call, most+3)
	ends := make([]*os.File, len(calls))
	for i := range calls {
		var r godbus.UnixFD
		r, ends[i] = openPipe(t)
		calls[i] = hostile.conn.Object(BusName, own).Go("org.kcmd.KCM1.Collection.AcquireWithPassword", 0,
			make(chan *godbus.Call, 1), "alice", r, map[string]godbus.Variant{})
	}
	must[uint32](hostile, own, "Collection.DestroyAll")
	for _, call := range calls[most:] {
		var err godbus.Error
		if !errors.As((<-call.Done).Err, &err) || err.Name != "org.freedesktop.DBus.Error.LimitsExceeded" {
			t.Errorf("one more: %v", err)
		}
	}
	if name, _ := bus.connect(t).fails(own, "Collection.AcquireWithPassword", "alice", pipeWith(t, "x"), map[string]godbus.Variant{}); name != "org.freedesktop.DBus.Error.LimitsExceeded" {
		t.Errorf("another connection of the user: %s", name)
	}
	if os.Geteuid() == 0 {
		quiet := bus.connectAs(t, 2)
		must[godbus.ObjectPath](quiet, collectionPath(2), "Collection.AcquireWithPassword", "alice", pipeWith(t, "x"), map[string]godbus.Variant{})
	}
	if _, err := ends[0].WriteString("late"); err != nil {
		t.Fatal(err)
	}
	ends[0].Close()
	if err := (<-calls[0].Done).Err; err != nil {
		t.Error(err)
	}
	hostile.conn.Close() // ends the others
	for _, f := range ends {
		f.Close()
	}
	eventually(t, "all descriptors are closed", func() bool { return ownDescriptors(t) <= before+len(calls)+4 })
	eventually(t, "a user may go on", func() bool {
		return bus.connect(t).call(own, "Collection.AcquireWithPassword", "alice", pipeWith(t, "x"), map[string]godbus.Variant{}).Err == nil
	})
}

// TestStrayDescriptors sends file descriptors that no method takes, or another number.
func TestStrayDescriptors(t *testing.T) {
	bus := startBus(t, "session")
	store := newStore(t)
	uid := uint32(os.Geteuid())
	startService(t, store, Config{Address: bus.address, KDC: &fakeKDC{store: store}, Acquires: true})
	c := bus.connect(t)
	must[uint32](c, collectionPath(uid), "Collection.DestroyAll")
	r, _ := openPipe(t)
	before := ownDescriptors(t)
	for range 100 {
		for _, args := range [][]any{
			{r}, {r, r, r}, {"alice", r}, {"alice", r, r}, {"alice", r, map[string]godbus.UnixFD{"x": r}},
			{"alice", r, map[string]godbus.Variant{"x": godbus.MakeVariant(r)}},
		} {
			for _, call := range []string{"Collection.AcquireWithPassword", "Collection.DestroyAll"} {
				if name, text := c.fails(collectionPath(uid), call, args...); name != errInvalidArgs {
					t.Fatalf("%s%v: %s (%s)", call, args, name, text)
				}
			}
		}
	}
	if after := ownDescriptors(t); after > before {
		t.Errorf("%d file descriptors, %d before", after, before)
	}
}
