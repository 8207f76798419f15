package lab

import (
	_ "embed"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
)

// BusType is one of the two well-known buses.
type BusType string

const (
	// SessionBus lets its one user do everything.
	SessionBus BusType = "session"
	// SystemBus is open to all users and allows what its policy allows. Only
	// root can run a service on it.
	SystemBus BusType = "system"
)

// A Bus is a message bus of the lab's own.
type Bus struct {
	// Type is the well-known bus that this one resembles.
	Type BusType
	// Address is the same after Stop and Start.
	Address string

	lab    *Lab
	config string
	proc   *process
}

// systemPolicy is the policy of Debian's system bus, without activation. NewBus adds
// the policy of the service.
//
//go:embed system-bus.conf
var systemPolicy string

const sessionPolicy = `<policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
`

// NewBus starts a bus, with the service files in the lab's directory "services", if there
// is one. A system bus also takes the policy of the service, the
// text of a file as it is installed in /usr/share/dbus-1/system.d.
func (l *Lab) NewBus(t BusType, policy string) (*Bus, error) {
	b := &Bus{
		Type:    t,
		Address: "unix:path=" + l.Path("bus.sock"),
		lab:     l,
		config:  l.Path("bus.conf"),
	}
	rules := sessionPolicy
	if t == SystemBus {
		if err := writeFile(l.Path("service-policy.conf"), policy); err != nil {
			return nil, fmt.Errorf("cannot start a bus: %w", err)
		}
		rules = systemPolicy + "\n  <include>" + l.Path("service-policy.conf") + "</include>\n"
	}
	config := fmt.Sprintf(`<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
  <type>%s</type>
  <listen>%s</listen>
  <auth>EXTERNAL</auth>
  <servicedir>%s</servicedir>
  %s
</busconfig>
`, t, b.Address, l.Path("services"), rules)
	if err := writeFile(b.config, config); err != nil {
		return nil, fmt.Errorf("cannot start a bus: %w", err)
	}
	if err := b.Start(); err != nil {
		return nil, err
	}
	return b, nil
}

// Start starts the bus and waits until it accepts connections.
func (b *Bus) Start() error {
	path := strings.TrimPrefix(b.Address, "unix:path=")
	// A bus that was killed has left its socket.
	os.Remove(path)
	cmd := exec.Command("dbus-daemon", "--config-file="+b.config, "--nofork", "--nopidfile")
	p, err := b.lab.background(cmd, b.lab.Path("bus.log"))
	if err != nil {
		return fmt.Errorf("cannot start a bus: %w", err)
	}
	if err := p.await(func() bool {
		c, err := net.Dial("unix", path)
		if err != nil {
			return false
		}
		c.Close()
		return true
	}); err != nil {
		return fmt.Errorf("cannot start a bus: %w", err)
	}
	b.proc = p
	return nil
}

// Stop ends the bus. All its clients are disconnected.
func (b *Bus) Stop() error {
	if !b.proc.running() {
		return fmt.Errorf("cannot stop the bus: it is not running%s", b.proc.tail())
	}
	b.proc.kill()
	return nil
}

// Env returns the variable by which clients find the bus.
func (b *Bus) Env() string {
	if b.Type == SystemBus {
		return "DBUS_SYSTEM_BUS_ADDRESS=" + b.Address
	}
	return "DBUS_SESSION_BUS_ADDRESS=" + b.Address
}
