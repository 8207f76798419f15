package logind_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/lifecycle/logind"
	"kcmd.org/kcmd/tests/lab"
)

const (
	busName = "org.freedesktop.login1"
	path    = "/org/freedesktop/login1"
	manager = busName + ".Manager"
)

// A user is one in the answer of ListUsers.
type user struct {
	UID  uint32
	Name string
	Path godbus.ObjectPath
}

// A fakeLogind answers ListUsers on a bus of its own, and sends signals.
type fakeLogind struct {
	conn  *godbus.Conn
	mu    sync.Mutex
	users []user
}

func (l *fakeLogind) ListUsers() ([]user, *godbus.Error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.users), nil
}

// set sets who is logged in, and sends a signal.
func (l *fakeLogind) set(t *testing.T, signal string, uids ...uint32) {
	t.Helper()
	l.mu.Lock()
	l.users = []user{}
	for _, uid := range uids {
		l.users = append(l.users, user{uid, "x", path + "/user/x"})
	}
	l.mu.Unlock()
	if err := l.conn.Emit(path, manager+"."+signal, uint32(1), godbus.ObjectPath(path+"/user/x")); err != nil {
		t.Fatal(err)
	}
}

func startLogind(t *testing.T, address string) *fakeLogind {
	t.Helper()
	conn, err := godbus.Connect(address)
	if err != nil {
		t.Fatal(err)
	}
	l := &fakeLogind{conn: conn}
	if err := conn.Export(l, path, manager); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(busName, godbus.NameFlagDoNotQueue); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestWatch asks a logind that starts late, whose users come and go, and that ends.
func TestWatch(t *testing.T) {
	t.Parallel()
	bus := lab.NewBusForTest(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := logind.Watch(ctx, bus.Address, func(map[uint32]bool) { t.Error("there is no logind") }); err == nil || ctx.Err() != nil {
		t.Errorf("without logind: %v", err)
	}

	l := startLogind(t, bus.Address)
	changes, ended := make(chan map[uint32]bool, 100), make(chan error, 1)
	watch := func(ctx context.Context) {
		go func() { ended <- logind.Watch(ctx, bus.Address, func(users map[uint32]bool) { changes <- users }) }()
	}
	expect := func(uids ...uint32) {
		t.Helper()
		for { // one change may be seen twice
			select {
			case users := <-changes:
				if len(users) == len(uids) && !slices.ContainsFunc(uids, func(uid uint32) bool { return !users[uid] }) {
					return
				}
			case err := <-ended:
				t.Fatalf("it ended: %v", err)
			case <-ctx.Done():
				t.Fatalf("nobody said that %v are logged in", uids)
			}
		}
	}
	watch(ctx)
	expect()
	l.set(t, "UserNew", 1000)
	expect(1000)
	l.set(t, "UserNew", 1000, 1001)
	expect(1000, 1001)
	l.set(t, "UserRemoved", 1001)
	expect(1001)
	l.conn.Close()
	if err := <-ended; err == nil || ctx.Err() != nil {
		t.Errorf("logind ended: %v", err)
	}

	l = startLogind(t, bus.Address)
	l.set(t, "UserNew", 7)
	inner, stop := context.WithCancel(ctx)
	watch(inner)
	expect(7)
	stop()
	if err := <-ended; err == nil {
		t.Error("it ended without an error")
	}
}
