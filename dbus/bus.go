package dbus

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/guard"
)

// A bus is one connection to the message bus with all that ends with it: who
// called, who is subscribed, what was announced.
type bus struct {
	*Service
	link *guard.Conn // below conn
	conn *godbus.Conn
	ctx  context.Context // ends with the connection
	self view            // of whoever listens to a broadcast in session mode

	peers   peers
	pending pending

	// mu puts answers and signals in one order: whoever reads mirrors for an
	// answer, or changes them, holds it until the messages are sent. The store
	// never waits for it.
	mu      sync.Mutex
	mirrors map[ccstore.Owner]collection // see mirror.go
	rearm   chan struct{}                // mirrors changed: see clock.go

	owned chan struct{} // receives when the name becomes ours
	lost  chan struct{} // receives when it no longer is
}

func newBus(s *Service, link *guard.Conn) *bus {
	b := &bus{
		Service: s,
		link:    link,
		mirrors: make(map[ccstore.Owner]collection),
		rearm:   make(chan struct{}, 1),
		owned:   make(chan struct{}, 1),
		lost:    make(chan struct{}, 1),
	}
	b.peers.init()
	b.pending.init()
	return b
}

// handshakeTimeout is for the bus to let us in.
const handshakeTimeout = 10 * time.Second

// serve serves on a connection to a bus, which it closes at the end, until the
// bus or ctx ends.
func (s *Service) serve(ctx context.Context, link *guard.Conn) error {
	b := newBus(s, link)
	var err error
	b.conn, err = godbus.NewConn(link,
		godbus.WithIncomingInterceptor(b.intercept),
		godbus.WithSignalHandler(b))
	if err != nil {
		link.Close()
		return fmt.Errorf("cannot use the connection to the bus: %w", err)
	}
	defer b.close()
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithCancel(b.conn.Context())
	defer cancel()

	if err := b.join(ctx); err != nil {
		return err
	}
	return b.live(ctx)
}

// close ends the connection. The link goes first: godbus waits for whoever is
// just writing, and that ends when the link does.
func (b *bus) close() {
	b.link.Close()
	b.conn.Close()
}

// closeAt has the connection closed when ctx ends, for what godbus does without
// a limit in time. It returns the function that ends this.
func (b *bus) closeAt(ctx context.Context) (stop func() bool) {
	return context.AfterFunc(ctx, func() { b.link.Close() })
}

// join gets through the bus' door.
func (b *bus) join(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	defer b.closeAt(ctx)()
	uid := strconv.Itoa(os.Geteuid())
	if err := b.conn.Auth([]godbus.Auth{godbus.AuthExternal(uid)}); err != nil {
		return fmt.Errorf("cannot authenticate to the bus: %w", err)
	}
	if err := b.conn.Hello(); err != nil {
		return fmt.Errorf("cannot say hello to the bus: %w", err)
	}
	// Before anybody can call: a subscriber that leaves must not stay one.
	const gone = "type='signal',sender='org.freedesktop.DBus',interface='org.freedesktop.DBus'," +
		"member='NameOwnerChanged',arg2=''"
	if err := b.call(ctx, "AddMatch", gone).Err; err != nil {
		return fmt.Errorf("cannot watch the bus: %w", err)
	}
	return ctx.Err()
}

// call calls a method of the bus itself.
func (b *bus) call(ctx context.Context, method string, args ...any) *godbus.Call {
	return b.conn.BusObject().CallWithContext(ctx, "org.freedesktop.DBus."+method, 0, args...)
}

// live owns the name and serves until the connection or ctx ends.
func (b *bus) live(ctx context.Context) error {
	b.current.Store(b)
	defer b.current.Store(nil)
	var running sync.WaitGroup
	running.Go(b.keepAnnouncing)
	defer running.Wait()
	defer b.close()

	if err := b.mirrorBroadcast(); err != nil {
		return err
	}
	if err := b.requestName(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-b.owned:
			b.Logger.Info("on the bus", "name", BusName, "address", b.Address)
			b.readyOnce.Do(func() { close(b.ready) })
		case <-b.lost:
			b.Logger.Warn("lost the name on the bus", "name", BusName)
		case <-b.ctx.Done():
			return errors.New("the bus closed the connection")
		case <-ctx.Done():
			b.leave()
			return nil
		}
	}
}

// inQueue is the answer of the bus to RequestName when somebody else has it.
const inQueue = 2

// requestName asks for the name, and gets in line for it where another process
// has it: the bus then gives it to us when that one leaves.
func (b *bus) requestName(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, handshakeTimeout)
	defer cancel()
	var answer uint32
	err := b.call(ctx, "RequestName", BusName, uint32(0)).Store(&answer)
	if err != nil {
		return fmt.Errorf("cannot own %s: %w", BusName, err)
	}
	if answer == inQueue {
		b.Logger.Warn("another process owns the name on the bus, waiting for it", "name", BusName)
	}
	return nil
}

// leaveTimeout bounds how long the service takes to say good-bye.
const leaveTimeout = time.Second

// leave gives the name back, so that nobody calls any more or the next in line
// takes over, and answers those who did call.
func (b *bus) leave() {
	ctx, cancel := context.WithTimeout(b.ctx, leaveTimeout)
	defer cancel()
	defer b.closeAt(ctx)()
	if err := b.call(ctx, "ReleaseName", BusName).Err; err != nil {
		b.Logger.Debug("cannot release the name", "err", err)
	}
	b.peers.drain(ctx)
}

// DeliverSignal implements godbus.SignalHandler. It runs between the reading of
// two messages, so that it is in order with calls, and must not wait.
func (b *bus) DeliverSignal(iface, member string, signal *godbus.Signal) {
	if iface != "org.freedesktop.DBus" || signal.Sender != "org.freedesktop.DBus" || len(signal.Body) == 0 {
		return
	}
	name, _ := signal.Body[0].(string)
	switch {
	case member == "NameOwnerChanged":
		b.peers.gone(name)
	case member == "NameAcquired" && name == BusName:
		notify(b.owned)
	case member == "NameLost" && name == BusName:
		notify(b.lost)
	}
}

// notify makes a channel of capacity 1 readable.
func notify(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
