package systemd

import (
	"context"
	"fmt"

	godbus "github.com/godbus/dbus/v5"
)

// The names of systemd on the bus, see org.freedesktop.systemd1(5).
const (
	busName     = "org.freedesktop.systemd1"
	path        = "/org/freedesktop/systemd1"
	manager     = busName + ".Manager"
	triggeredBy = busName + ".Unit.TriggeredBy"
	flushes     = busName + ".Socket.FlushPending"
)

// Flushing returns the socket units of the caller's service with FlushPending=yes: when
// the service ends, systemd closes the connections that wait there, see systemd.socket(5).
// It fails if there is no systemd on the bus, and if the caller is not in a unit.
func Flushing(ctx context.Context, address string) ([]string, error) {
	conn, err := godbus.Connect(address, godbus.WithContext(ctx))
	if err != nil {
		return nil, fmt.Errorf("cannot connect to the system bus: %w", err)
	}
	defer conn.Close()
	systemd := conn.Object(busName, path)
	var service godbus.ObjectPath
	const caller = uint32(0)
	if err := systemd.CallWithContext(ctx, manager+".GetUnitByPID", 0, caller).Store(&service); err != nil {
		return nil, fmt.Errorf("cannot ask systemd for the unit of this process: %w", err)
	}
	var sockets, flushing []string
	if err := conn.Object(busName, service).StoreProperty(triggeredBy, &sockets); err != nil {
		return nil, fmt.Errorf("cannot ask systemd for the sockets of %s: %w", service, err)
	}
	for _, unit := range sockets {
		var socket godbus.ObjectPath
		if err := systemd.CallWithContext(ctx, manager+".GetUnit", 0, unit).Store(&socket); err != nil {
			return nil, fmt.Errorf("cannot ask systemd for %s: %w", unit, err)
		}
		var yes bool
		if err := conn.Object(busName, socket).StoreProperty(flushes, &yes); err != nil {
			return nil, fmt.Errorf("cannot ask systemd for FlushPending= of %s: %w", unit, err)
		}
		if yes {
			flushing = append(flushing, unit)
		}
	}
	return flushing, nil
}
