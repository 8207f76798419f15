package lock

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

const (
	login      = "org.freedesktop.login1"
	session    = login + ".Session"
	properties = "org.freedesktop.DBus.Properties"
)

// redialEvery is the time between two attempts to reach a system bus that has ended.
const redialEvery = 2 * time.Second

var errNoLogind = errors.New("logind is not running")

// watchLogind follows the LockedHint of the user's graphical session. Without a system bus
// it does nothing. If the bus ends, it waits for the next one.
func watchLogind(ctx context.Context, s *state) {
	for found := false; ; found = true {
		conn, err := godbus.ConnectSystemBus(godbus.WithContext(ctx))
		switch {
		case err == nil:
			followLogind(ctx, conn, s)
			conn.Close()
			s.set(login, false) // or nothing would be told until there is a bus again
		case !found:
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(redialEvery):
		}
	}
}

// followLogind follows the LockedHint until ctx or the bus ends. The session may begin later
// than the agent and end before it, and logind may be restarted.
func followLogind(ctx context.Context, conn *godbus.Conn, s *state) {
	signals := make(chan *godbus.Signal, 64)
	conn.Signal(signals)
	// Not user/self, which is unknown to processes outside of the user's slice.
	user := godbus.ObjectPath(fmt.Sprintf("/org/freedesktop/login1/user/_%d", os.Getuid()))
	for _, match := range [][]godbus.MatchOption{
		{godbus.WithMatchSender("org.freedesktop.DBus"), godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, login)},
		{godbus.WithMatchSender(login), godbus.WithMatchInterface(properties), godbus.WithMatchObjectPath(user)},
		{godbus.WithMatchSender(login), godbus.WithMatchInterface(properties), godbus.WithMatchPathNamespace("/org/freedesktop/login1/session")},
		{godbus.WithMatchSender(login), godbus.WithMatchMember("SessionRemoved")},
	} {
		if conn.AddMatchSignalContext(ctx, match...) != nil {
			return
		}
	}
	for {
		// As long as logind does not run, all stays as it was.
		if locked, err := lockedHint(ctx, conn, user); err == nil {
			s.set(login, locked)
		}
		select {
		case <-ctx.Done():
			return
		case _, ok := <-signals:
			if !ok {
				return
			}
		}
	}
}

// lockedHint asks logind whether the user's graphical session is locked. Without one
// nothing is.
func lockedHint(ctx context.Context, conn *godbus.Conn, user godbus.ObjectPath) (locked bool, err error) {
	var display struct {
		ID   string
		Path godbus.ObjectPath
	}
	owned := false
	err = conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.NameHasOwner", 0, login).Store(&owned)
	if err == nil && !owned {
		err = errNoLogind
	}
	if err != nil {
		return false, err
	}
	if property(ctx, conn, user, login+".User", "Display", &display) != nil || !display.Path.IsValid() || display.Path == "/" {
		return false, nil
	}
	if property(ctx, conn, display.Path, session, "LockedHint", &locked) != nil {
		return false, nil // it has ended
	}
	return locked, nil
}

func property(ctx context.Context, conn *godbus.Conn, path godbus.ObjectPath, iface, name string, to any) error {
	var v godbus.Variant
	err := conn.Object(login, path).CallWithContext(ctx, properties+".Get", godbus.FlagNoAutoStart, iface, name).Store(&v)
	if err != nil {
		return err
	}
	return godbus.Store([]any{v.Value()}, to)
}
