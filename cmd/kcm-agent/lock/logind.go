package lock

import (
	"context"
	"fmt"
	"os"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

const (
	login   = "org.freedesktop.login1"
	session = login + ".Session"
	get     = "org.freedesktop.DBus.Properties.Get"
)

// redialEvery is the time between two attempts to reach a system bus that has ended.
const redialEvery = 2 * time.Second

// watchLogind follows the LockedHint of the user's graphical session. Without logind it
// does nothing. If the system bus ends, it waits for the next one.
func watchLogind(ctx context.Context, s *state) {
	for found := false; ; found = true {
		if !followLogind(ctx, s) {
			if !found {
				return
			}
			s.set(login, false) // or nothing would be told until there is a session again
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(redialEvery):
		}
	}
}

// followLogind follows the LockedHint until ctx or the bus ends, and reports whether
// there is one.
func followLogind(ctx context.Context, s *state) bool {
	conn, err := godbus.ConnectSystemBus(godbus.WithContext(ctx))
	if err != nil {
		return false
	}
	defer conn.Close()
	var display struct {
		ID   string
		Path godbus.ObjectPath
	}
	// Not user/self, which is unknown to processes outside of the user's slice.
	user := godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/login1/user/_%d", os.Getuid()))
	v, err := property(ctx, conn, user, login+".User", "Display")
	if err != nil || godbus.Store([]any{v}, &display) != nil || !display.Path.IsValid() || display.Path == "/" {
		return false
	}
	signals := make(chan *godbus.Signal, 64)
	conn.Signal(signals)
	if conn.AddMatchSignal(godbus.WithMatchSender(login), godbus.WithMatchObjectPath(display.Path), godbus.WithMatchMember("PropertiesChanged")) != nil {
		return false
	}
	for {
		if v, err := property(ctx, conn, display.Path, session, "LockedHint"); err == nil {
			locked, _ := v.(bool)
			s.set(login, locked)
		}
		select {
		case <-ctx.Done():
			return true
		case _, ok := <-signals:
			if !ok {
				return true
			}
		}
	}
}

func property(ctx context.Context, conn *godbus.Conn, path godbus.ObjectPath, iface, name string) (any, error) {
	var v godbus.Variant
	err := conn.Object(login, path).CallWithContext(ctx, get, godbus.FlagNoAutoStart, iface, name).Store(&v)
	return v.Value(), err
}
