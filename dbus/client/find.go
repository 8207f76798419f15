package client

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"os"
	"path/filepath"

	godbus "github.com/godbus/dbus/v5"
)

// A NotFoundError says why kcmd is found on neither bus. It is ErrNotRunning.
type NotFoundError struct{ System, Session error }

func (e *NotFoundError) Error() string {
	return fmt.Sprintf("%v (system bus: %v; session bus: %v)", ErrNotRunning, e.System, e.Session)
}

// Is implements errors.Is.
func (*NotFoundError) Is(target error) bool { return target == ErrNotRunning }

// Find connects to the bus that kcmd is on, by the rule of org.kcmd.KCM1(5): the system
// bus, where it is started if it can be, or else the session bus, where it must run. The
// error is a *NotFoundError if kcmd is on neither.
func Find(ctx context.Context) (*Client, error) {
	system, err := findOn(ctx, "system")
	if err == nil {
		return system, nil
	}
	session, sessionErr := findOn(ctx, "session")
	if sessionErr == nil {
		return session, nil
	}
	return nil, &NotFoundError{err, sessionErr}
}

// findOn connects to a bus if kcmd is there.
func findOn(ctx context.Context, bus string) (*Client, error) {
	c, err := dialWithoutStart(ctx, bus)
	if err != nil {
		return nil, err
	}
	owner, err := c.owner(ctx)
	switch {
	case err != nil || owner != "":
	case bus == "system":
		err = c.start(ctx)
	default:
		err = ErrNotRunning
	}
	if err != nil {
		_ = c.Close()
		return nil, err
	}
	return c, nil
}

// dialWithoutStart connects to a bus. On a session bus calls do not start kcmd: a session
// has one of its own only if its user wants it.
func dialWithoutStart(ctx context.Context, bus string) (*Client, error) {
	c, err := Dial(ctx, bus)
	if err == nil && bus == "session" {
		c.noStart = true
	}
	return c, err
}

// start has the bus start kcmd, which does not run.
func (c *Client) start(ctx context.Context) error {
	err := c.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.StartServiceByName", 0, BusName, uint32(0)).Err
	var e godbus.Error
	switch {
	case errors.As(err, &e) && errors.Is(meanings[e.Name], ErrNotRunning):
		return fmt.Errorf("%w: %w", ErrNotRunning, err)
	case err != nil:
		return fmt.Errorf("%w: %w", ErrCannotStart, err)
	}
	return nil
}

// owner returns the connection that is kcmd, "" if there is none.
func (c *Client) owner(ctx context.Context) (owner string, err error) {
	err = c.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus.GetNameOwner", 0, BusName).Store(&owner)
	var e godbus.Error
	if errors.As(err, &e) && e.Name == "org.freedesktop.DBus.Error.NameHasNoOwner" {
		return "", nil
	}
	return owner, err
}

// Follow yields a connection to the bus that kcmd is on, now and whenever kcmd starts, or
// nil while it is on neither, until ctx ends: the system bus wins. The bus of the
// system starts kcmd at first if it can. The caller closes the connections. An error
// is the last that Follow yields: a bus ended, or there is none.
func Follow(ctx context.Context) iter.Seq2[*Client, error] {
	return func(yield func(*Client, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		system, err := watch(ctx, "system")
		session, sessionErr := watch(ctx, "session")
		if err != nil && sessionErr != nil {
			yield(nil, &NotFoundError{err, sessionErr})
			return
		}
		var at, owner string
		for first := true; ; first = false {
			bus, now := "system", system.owner
			if now == "" {
				bus, now = "session", session.owner
			}
			if now == "" {
				bus = ""
			}
			if first || bus != at || now != owner {
				at, owner = bus, now
				c, err := connectAt(ctx, bus)
				if !yield(c, err) || err != nil {
					return
				}
			}
			select {
			case s, ok := <-system.signals:
				err = system.follow(s, ok)
			case s, ok := <-session.signals:
				err = session.follow(s, ok)
			case <-ctx.Done():
				return
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// connectAt returns a connection for the reader of Follow.
func connectAt(ctx context.Context, bus string) (*Client, error) {
	if bus == "" {
		return nil, nil
	}
	// It outlives Follow, if its reader wants that.
	return dialWithoutStart(context.WithoutCancel(ctx), bus)
}

// A watched is a bus on which the owner of kcmd's name is followed.
type watched struct {
	bus     string
	signals chan *godbus.Signal // nil: there is no such bus
	owner   string
}

func watch(ctx context.Context, bus string) (w watched, err error) {
	c, err := dialWithoutStart(ctx, bus)
	if err != nil {
		return w, err
	}
	signals := make(chan *godbus.Signal)
	c.conn.Signal(signals)
	err = c.conn.AddMatchSignalContext(ctx, godbus.WithMatchSender("org.freedesktop.DBus"),
		godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, BusName))
	if err != nil {
		return w, err
	}
	owner, err := c.owner(ctx)
	if err == nil && owner == "" && bus == "system" {
		_ = c.start(ctx) // of which a signal comes
	}
	return watched{bus, signals, owner}, err
}

// follow notes a signal; ok is false at the end of the connection.
func (w *watched) follow(s *godbus.Signal, ok bool) error {
	if !ok {
		return fmt.Errorf("the %s bus closed the connection: %w", w.bus, godbus.ErrClosed)
	}
	var name, before string
	if s.Name != "org.freedesktop.DBus.NameOwnerChanged" {
		return nil
	}
	return godbus.Store(s.Body, &name, &before, &w.owner)
}

// SessionAddress returns the address of the session bus. It starts none, unlike
// godbus.
func SessionAddress() (string, error) {
	if address := os.Getenv("DBUS_SESSION_BUS_ADDRESS"); address != "" {
		return address, nil
	}
	path := filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "bus")
	if _, err := os.Stat(path); os.Getenv("XDG_RUNTIME_DIR") == "" || err != nil {
		return "", ErrNoSession
	}
	return "unix:path=" + path, nil
}
