package dbus

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

// dial connects to the bus at address: "system", "session", or a D-Bus address,
// which may list several, of which the first that answers is taken.
func dial(ctx context.Context, address string) (io.ReadWriteCloser, error) {
	address, err := busAddress(address)
	if err != nil {
		return nil, err
	}
	var errs []error
	for one := range strings.SplitSeq(address, ";") {
		socket, err := socketAddress(one)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		conn, err := new(net.Dialer).DialContext(ctx, "unix", socket)
		if err == nil {
			return newLink(conn), nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("cannot connect to the bus: %w", errors.Join(errs...))
}

// busAddress returns the D-Bus address that "system" or "session" stands for.
// Other addresses it returns as they are.
func busAddress(address string) (string, error) {
	switch address {
	case "system":
		return cmp.Or(os.Getenv("DBUS_SYSTEM_BUS_ADDRESS"),
			"unix:path=/run/dbus/system_bus_socket;unix:path=/var/run/dbus/system_bus_socket"), nil
	case "session":
		if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
			return address, nil
		}
		dir := cmp.Or(os.Getenv("XDG_RUNTIME_DIR"), fmt.Sprintf("/run/user/%d", os.Getuid()))
		return "unix:path=" + godbus.EscapeBusAddressValue(filepath.Join(dir, "bus")), nil
	}
	return address, nil
}

// socketAddress returns the address of the UNIX socket that a D-Bus address
// names. Other transports are not for a service that tells callers apart by
// their uid.
func socketAddress(address string) (string, error) {
	parameters, ok := strings.CutPrefix(address, "unix:")
	if !ok {
		return "", fmt.Errorf("bus address %q: want unix:path=... or unix:abstract=...", address)
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

// writeTimeout is how long the bus may take to accept a message. A bus that
// takes longer is gone or hangs; either way the connection is of no use.
const writeTimeout = 30 * time.Second

// A link is the connection to the bus below godbus. It negotiates no file
// descriptors, so that the bus delivers none.
type link struct {
	net.Conn
	in *bufio.Reader
}

func newLink(conn net.Conn) *link { return &link{Conn: conn, in: bufio.NewReader(conn)} }

func (l *link) Read(b []byte) (int, error) { return l.in.Read(b) }

// Write writes a whole message. After an error the stream is out of step, which
// godbus does not care about: end it, so that the reader sees.
func (l *link) Write(b []byte) (int, error) {
	if err := l.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return 0, err
	}
	n, err := l.Conn.Write(b)
	if err != nil {
		l.Close()
	}
	return n, err
}
