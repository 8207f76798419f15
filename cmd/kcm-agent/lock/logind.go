package lock

import (
	"context"

	godbus "github.com/godbus/dbus/v5"
)

const (
	login   = "org.freedesktop.login1"
	session = login + ".Session"
	get     = "org.freedesktop.DBus.Properties.Get"
)

// watchLogind follows the LockedHint of the user's graphical session. Without logind it
// does nothing.
func watchLogind(ctx context.Context, s *state) {
	conn, err := godbus.ConnectSystemBus(godbus.WithContext(ctx))
	if err != nil {
		return
	}
	defer conn.Close()
	var display struct {
		ID   string
		Path godbus.ObjectPath
	}
	v, err := property(ctx, conn, "/org/freedesktop/login1/user/self", login+".User", "Display")
	if err != nil || godbus.Store([]any{v}, &display) != nil || !display.Path.IsValid() || display.Path == "/" {
		return
	}
	signals := make(chan *godbus.Signal, 64)
	conn.Signal(signals)
	if conn.AddMatchSignal(godbus.WithMatchSender(login), godbus.WithMatchObjectPath(display.Path), godbus.WithMatchMember("PropertiesChanged")) != nil {
		return
	}
	for {
		if v, err := property(ctx, conn, display.Path, session, "LockedHint"); err == nil {
			locked, _ := v.(bool)
			s.set(login, locked)
		}
		select {
		case <-ctx.Done():
			return
		case _, ok := <-signals:
			if !ok {
				s.set(login, false)
				return
			}
		}
	}
}

func property(ctx context.Context, conn *godbus.Conn, path godbus.ObjectPath, iface, name string) (any, error) {
	var v godbus.Variant
	err := conn.Object(login, path).CallWithContext(ctx, get, godbus.FlagNoAutoStart, iface, name).Store(&v)
	return v.Value(), err
}
