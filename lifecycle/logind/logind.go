package logind

import (
	"context"
	"errors"
	"fmt"

	godbus "github.com/godbus/dbus/v5"
)

// SystemBus is the address of the system bus, see the D-Bus specification.
const SystemBus = "unix:path=/run/dbus/system_bus_socket"

// The names of logind on the bus, see org.freedesktop.login1(5).
const (
	busName   = "org.freedesktop.login1"
	path      = "/org/freedesktop/login1"
	iface     = "org.freedesktop.login1.Manager"
	listUsers = iface + ".ListUsers"
)

// Watch calls changed with the users whom logind knows, at once and whenever that may
// have changed: those with a session, those who linger, and those whose last session
// ended a moment ago or has left processes. It fails if there is no logind, and when the
// bus or logind goes away; with the error of ctx when that is done.
func Watch(ctx context.Context, address string, changed func(users map[uint32]bool)) error {
	conn, err := godbus.Dial(address, godbus.WithContext(ctx))
	if err != nil {
		return fmt.Errorf("cannot connect to the system bus: %w", err)
	}
	defer conn.Close()
	if err := hello(conn); err != nil {
		return fmt.Errorf("cannot connect to the system bus: %w", err)
	}
	signals := make(chan *godbus.Signal, 64)
	conn.Signal(signals)
	for _, match := range [][]godbus.MatchOption{
		{godbus.WithMatchSender(busName), godbus.WithMatchObjectPath(path), godbus.WithMatchInterface(iface), godbus.WithMatchMember("UserNew")},
		{godbus.WithMatchSender(busName), godbus.WithMatchObjectPath(path), godbus.WithMatchInterface(iface), godbus.WithMatchMember("UserRemoved")},
		{godbus.WithMatchSender("org.freedesktop.DBus"), godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, busName)},
	} {
		if err := conn.AddMatchSignalContext(ctx, match...); err != nil {
			return fmt.Errorf("cannot listen to logind: %w", err)
		}
	}
	for {
		users, err := list(ctx, conn)
		if err != nil {
			return fmt.Errorf("cannot ask logind for users: %w", err)
		}
		changed(users)
		if err := await(ctx, signals); err != nil {
			return err
		}
	}
}

func hello(conn *godbus.Conn) error {
	if err := conn.Auth(nil); err != nil {
		return err
	}
	return conn.Hello()
}

// await waits for a signal, and takes all that have come.
func await(ctx context.Context, signals <-chan *godbus.Signal) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case s, ok := <-signals:
			switch {
			case ctx.Err() != nil:
				return ctx.Err()
			case !ok:
				return errors.New("the system bus went away")
			case s.Name == "org.freedesktop.DBus.NameOwnerChanged":
				return errors.New("logind went away")
			}
			if len(signals) == 0 {
				return nil
			}
		}
	}
}

func list(ctx context.Context, conn *godbus.Conn) (map[uint32]bool, error) {
	var users []struct {
		UID  uint32
		Name string
		Path godbus.ObjectPath
	}
	if err := conn.Object(busName, path).CallWithContext(ctx, listUsers, 0).Store(&users); err != nil {
		return nil, err
	}
	known := make(map[uint32]bool, len(users))
	for _, u := range users {
		known[u.UID] = true
	}
	return known, nil
}
