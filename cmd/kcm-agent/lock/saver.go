package lock

import (
	"context"

	godbus "github.com/godbus/dbus/v5"
)

// savers are the names of screen savers, with their objects. Name and interface are
// the same.
var savers = map[string]godbus.ObjectPath{
	"org.freedesktop.ScreenSaver": "/org/freedesktop/ScreenSaver",
	"org.gnome.ScreenSaver":       "/org/gnome/ScreenSaver",
	"org.cinnamon.ScreenSaver":    "/org/cinnamon/ScreenSaver",
	"org.mate.ScreenSaver":        "/org/mate/ScreenSaver",
	"org.xfce.ScreenSaver":        "/org/xfce/ScreenSaver",
}

// watchSavers follows the screen savers.
func watchSavers(ctx context.Context, conn *godbus.Conn, s *state) {
	signals := make(chan *godbus.Signal, 64)
	conn.Signal(signals)
	defer conn.RemoveSignal(signals)
	for name, path := range savers {
		_ = conn.AddMatchSignal(godbus.WithMatchInterface(name), godbus.WithMatchMember("ActiveChanged"))
		_ = conn.AddMatchSignal(godbus.WithMatchSender("org.freedesktop.DBus"), godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, name))
		var active bool
		if conn.Object(name, path).CallWithContext(ctx, name+".GetActive", godbus.FlagNoAutoStart).Store(&active) == nil {
			s.set(name, active)
		}
	}
	for {
		select {
		case <-ctx.Done():
			return
		case sig, ok := <-signals:
			if !ok {
				return
			}
			var active bool
			var name, before, after string
			const suffix = len(".ActiveChanged")
			switch {
			case sig.Name == "org.freedesktop.DBus.NameOwnerChanged":
				if godbus.Store(sig.Body, &name, &before, &after) == nil && savers[name] != "" && after == "" {
					s.set(name, false)
				}
			case len(sig.Name) > suffix && savers[sig.Name[:len(sig.Name)-suffix]] != "":
				if godbus.Store(sig.Body, &active) == nil {
					s.set(sig.Name[:len(sig.Name)-suffix], active)
				}
			}
		}
	}
}
