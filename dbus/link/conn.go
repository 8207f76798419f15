package link

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"runtime"
	"strconv"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/dbus/guard"
	"kcmd.org/kcmd/introspection"
)

// A Socket is what a Conn needs of a *net.UnixConn.
type Socket = guard.Socket

// Config configures a Conn.
type Config struct {
	Name       string                     // well-known name of the service
	Interfaces []*introspection.Interface // whose methods may be called
	Labels     bool                       // SELinux labels of peers count
	Broadcast  bool                       // signals are broadcast; all peers are of one user
	Unread     budget.Bounds              // bytes on their way to the peers of a uid, unless Broadcast
	Requests   budget.Bounds              // calls served at once

	Descriptors budget.Bounds // file descriptors of calls that are not answered
	Crowded     func()        // called while several uids have calls, or one has long ones; nil: nothing is called
	Logger      *slog.Logger
}

// A Server serves the calls that arrive on a connection.
type Server interface {
	// Serve answers a call. Calls of one peer come one after the other.
	Serve(*Call)

	// Left is called once for each peer that leaves the bus, mostly between the
	// receipt of two messages: it must not wait for anything that is sent.
	Left(*Peer)

	// Named is called when the name becomes ours, and when it is no longer. It
	// must not wait either.
	Named(ours bool)
}

// A Conn is a connection to a message bus.
type Conn struct {
	Config
	server Server
	guard  *guard.Conn // below bus
	bus    *godbus.Conn
	peers  peers
	all    *lane // the only one if Config.Broadcast
	unread unread

	descriptors descriptors   // of calls
	turns       *budget.Turns // at serving calls
}

// handshakeTimeout is for the bus to accept the connection.
const handshakeTimeout = 10 * time.Second

// New returns a Conn over a socket that is connected to a bus. It serves calls
// from Join on.
func New(socket Socket, c Config, server Server) (*Conn, error) {
	conn := &Conn{
		Config: c,
		server: server,
		guard:  guard.New(socket, guard.Config{Interfaces: c.Interfaces, Logger: c.Logger}),
	}
	conn.descriptors.pool = budget.NewPool("descriptors", c.Descriptors)
	conn.turns = budget.NewTurns(c.Requests, runtime.NumCPU())
	if c.Crowded != nil {
		conn.turns.OnCrowd(func(bool) { c.Crowded() }) // who uses the sockets is not known here
	}
	conn.all = &lane{send: conn.guard.Send}
	conn.unread = unread{pool: budget.NewPool("unread", c.Unread), most: c.Unread.Account, pings: make(map[uint32]*Peer), off: c.Broadcast}
	var err error
	conn.bus, err = godbus.NewConn(conn.guard, godbus.WithIncomingInterceptor(conn.intercept), godbus.WithSignalHandler(conn))
	if err != nil {
		conn.guard.Close()
		return nil, fmt.Errorf("cannot use the connection to the bus: %w", err)
	}
	conn.peers = peers{byName: make(map[string]*Peer), new: conn.newPeer, descriptors: &conn.descriptors}
	return conn, nil
}

// Close ends the connection. The guard goes first: godbus waits for a write under
// way, which ends with the guard.
func (c *Conn) Close() {
	c.guard.Close()
	c.bus.Close()
}

// Context ends with the connection.
func (c *Conn) Context() context.Context { return c.bus.Context() }

// closeAt closes the connection when ctx ends, for calls of godbus without a
// limit in time. It returns the function that cancels this.
func (c *Conn) closeAt(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { c.guard.Close() })
}

// Join authenticates to the bus and watches it for peers that leave.
func (c *Conn) Join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	defer c.closeAt(ctx)()
	uid := strconv.Itoa(os.Geteuid())
	if err := c.bus.Auth([]godbus.Auth{godbus.AuthExternal(uid)}); err != nil {
		return fmt.Errorf("cannot authenticate to the bus: %w", err)
	}
	if err := c.bus.Hello(); err != nil {
		return fmt.Errorf("cannot say hello to the bus: %w", err)
	}
	// Before the first call: a subscriber that leaves must not stay one.
	const leaving = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus'," +
		"member='NameOwnerChanged',arg2=''"
	if err := c.call(ctx, "AddMatch", leaving).Err; err != nil {
		return fmt.Errorf("cannot watch the bus: %w", err)
	}
	return ctx.Err()
}

// call calls a method of the bus itself.
func (c *Conn) call(ctx context.Context, method string, args ...any) *godbus.Call {
	return c.bus.BusObject().CallWithContext(ctx, "org.freedesktop.DBus."+method, 0, args...)
}

// inQueue is the answer of the bus to RequestName when another process has it.
const inQueue = 2

// RequestName asks for the name of the service. Where another process has it,
// the bus gives it to us when that one leaves: see Server.
func (c *Conn) RequestName(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var answer uint32
	if err := c.call(ctx, "RequestName", c.Name, uint32(0)).Store(&answer); err != nil {
		return fmt.Errorf("cannot own %s: %w", c.Name, err)
	}
	if answer == inQueue {
		c.Logger.Warn("another process owns the name on the bus, waiting for it", "name", c.Name)
	}
	return nil
}

// leaveTimeout bounds how long Leave takes.
const leaveTimeout = time.Second

// Leave releases the name, so that calls end or the next in the queue gets them,
// and waits for the answers to the calls under way.
func (c *Conn) Leave() {
	ctx, cancel := context.WithTimeout(c.Context(), leaveTimeout)
	defer cancel()
	defer c.closeAt(ctx)()
	if err := c.call(ctx, "ReleaseName", c.Name).Err; err != nil {
		c.Logger.Debug("cannot release the name", "err", err)
	}
	c.peers.drain(ctx)
}

// DeliverSignal implements godbus.SignalHandler. It runs between the receipt of
// two messages, so that it is in order with calls, and must not wait.
func (c *Conn) DeliverSignal(iface, member string, signal *godbus.Signal) {
	if iface != "org.freedesktop.DBus" || signal.Sender != "org.freedesktop.DBus" || len(signal.Body) == 0 {
		return
	}
	name, _ := signal.Body[0].(string)
	switch {
	case member == "NameOwnerChanged":
		c.depart(name)
	case member == "NameAcquired" && name == c.Name:
		c.server.Named(true)
	case member == "NameLost" && name == c.Name:
		c.server.Named(false)
	}
}

// depart forgets a peer that left the bus.
func (c *Conn) depart(name string) {
	if left := c.peers.remove(name); left != nil {
		c.unread.forget(left)
		c.server.Left(left)
	}
}
