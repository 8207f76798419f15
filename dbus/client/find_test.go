package client

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/tests/lab"
)

// twoBuses starts the two buses of a machine, with a service file of kcmd on each that
// writes a file when the bus uses it.
func twoBuses(t *testing.T) (system, session *lab.Bus, started func() bool) {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no bus is run")
	}
	lab.Need(t, "dbus-daemon")
	var marks []string
	start := func(variable string) *lab.Bus {
		l, err := lab.New()
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(l.Close)
		mark := l.Path("started")
		marks = append(marks, mark)
		services := l.Path("services")
		file := "[D-BUS Service]\nName=" + BusName + "\nExec=/bin/sh -c \"echo >" + mark + "; exit 1\"\n"
		if err := errors.Join(os.Mkdir(services, 0o755), os.WriteFile(services+"/"+BusName+".service", []byte(file), 0o644)); err != nil {
			t.Fatal(err)
		}
		bus, err := l.NewBus(lab.SessionBus, "")
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(variable, bus.Address)
		return bus
	}
	system, session = start("DBUS_SYSTEM_BUS_ADDRESS"), start("DBUS_SESSION_BUS_ADDRESS")
	return system, session, func() bool {
		_, err := os.Stat(marks[1])
		return err == nil
	}
}

// own makes a connection kcmd on a bus, until it is closed.
func own(t *testing.T, bus *lab.Bus) (leave func()) {
	t.Helper()
	conn, err := godbus.Connect(bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if reply, err := conn.RequestName(BusName, godbus.NameFlagDoNotQueue); err != nil || reply != godbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return func() { conn.Close() }
}

// TestFind: the system bus wins, and nothing is started on the session bus.
func TestFind(t *testing.T) {
	system, session, started := twoBuses(t)
	find := func(want string) {
		t.Helper()
		c, err := Find(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		if c.Bus() != want {
			t.Errorf("kcmd is on the %s bus, want %s", c.Bus(), want)
		}
	}
	_, err := Find(t.Context())
	var missing *NotFoundError
	if !errors.As(err, &missing) || !errors.Is(err, ErrNotRunning) || !errors.Is(missing.System, ErrCannotStart) || !errors.Is(missing.Session, ErrNotRunning) {
		t.Errorf("on neither bus: %v", err)
	}
	leaveSession := own(t, session)
	find("session")
	own(t, system)
	find("system")
	leaveSession()
	find("system")
	if err := system.Stop(); err != nil {
		t.Fatal(err)
	}
	if _, err := Find(t.Context()); err == nil || !strings.Contains(err.Error(), "cannot connect to the system bus") {
		t.Errorf("without a system bus: %v", err)
	}
	own(t, session)
	c, err := Find(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := session.Stop(); err != nil {
		t.Fatal(err)
	}
	if started() {
		t.Error("kcmd was started on the session bus")
	}
}

// TestFollow follows kcmd from bus to bus, through restarts, and to the end of a bus.
func TestFollow(t *testing.T) {
	system, session, started := twoBuses(t)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var leaveSession, leaveSystem func()
	steps := []struct {
		want string
		then func()
	}{
		{"", func() { leaveSession = own(t, session) }},
		{"session", func() { leaveSystem = own(t, system) }},
		{"system", func() { leaveSystem() }},
		{"session", func() { leaveSystem = own(t, system) }},
		{"system", func() { leaveSession(); leaveSystem() }}, // the former is not seen
		{"", func() { leaveSystem = own(t, system) }},
		{"system", func() {
			if err := system.Stop(); err != nil {
				t.Fatal(err)
			}
		}},
	}
	i := 0
	for c, err := range Follow(ctx) {
		if i == len(steps) {
			if err == nil || !strings.Contains(err.Error(), "the system bus closed the connection") {
				t.Errorf("the end of a bus: %v", err)
			}
			i++
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		if c != nil {
			got = c.Bus()
			defer c.Close()
		}
		if got == "session" && steps[i].want == "" {
			continue // left a moment later than the system bus
		}
		if got != steps[i].want {
			t.Fatalf("step %d: on %q, want %q", i, got, steps[i].want)
		}
		steps[i].then()
		i++
	}
	if i != len(steps)+1 {
		t.Errorf("it ended at step %d of %d: %v", i, len(steps), ctx.Err())
	}
	if started() {
		t.Error("kcmd was started on the session bus")
	}
}

// TestFollowEnds counts the connections that are left when Follow ends.
func TestFollowEnds(t *testing.T) {
	_, session, _ := twoBuses(t)
	c, err := Dial(t.Context(), "session")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	connections := func() (n int) {
		var names []string
		if err := c.conn.BusObject().Call("org.freedesktop.DBus.ListNames", 0).Store(&names); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if strings.HasPrefix(name, ":") {
				n++
			}
		}
		return n
	}
	defer own(t, session)()
	before := connections()
	for c, err := range Follow(t.Context()) {
		if err != nil || c == nil {
			t.Fatal(c, err)
		}
		if connections() <= before {
			t.Error("Follow has no connection to the session bus")
		}
		c.Close()
		break
	}
	for end := time.Now().Add(patience); connections() > before; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%d connections are left", connections()-before)
		}
	}
}
