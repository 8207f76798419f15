package link

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"

	godbus "github.com/godbus/dbus/v5"
)

// Dial connects to the bus at address: "system", "session", or a D-Bus address.
// Of a list of addresses it takes the first that answers.
func Dial(ctx context.Context, address string) (*net.UnixConn, error) {
	var errs []error
	for one := range strings.SplitSeq(busAddress(address), ";") {
		socket, err := socketAddress(one)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			return conn.(*net.UnixConn), nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("cannot connect to the bus: %w", errors.Join(errs...))
}

// busAddress returns the D-Bus address of "system" or "session", and other addresses
// unchanged.
func busAddress(address string) string {
	switch address {
	case "system":
		return cmp.Or(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"),
			"unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket")
	case "session":
		if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
			return address
		}
		dir := cmp.Or(os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid()))
		return "unix:path=" + godbus.EscapeBusAddressValue(filepath.Join(dir, "bus"))
	}
	return address
}

// socketAddress returns the address of the UNIX socket in a D-Bus address. The
// service tells callers apart by their uid, which other transports lack.
func socketAddress(address string) (string, error) {
	parameters, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		parameters = ""
	}
	for parameter := range strings.SplitSeq(parameters, ",") {
		key, value, _ := strings.Cut(parameter, "=")
		value, err := godbus.UnescapeBusAddressValue(value)
		if err != nil {
			return "", fmt.Errorf("bus address %q: %w", address, err)
		}
		switch key {
		case "path":
			return value, nil
		case "abstract":
			return "@" + value, nil
		}
	}
	return "", fmt.Errorf("bus address %q: want unix:path=... or unix:abstract=...", address)
}
