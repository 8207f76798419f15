package dbus

import (
	"context"
	"errors"
	"sync"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
)

// A bus is one connection to the message bus with everything that ends with it:
// clients, subscriptions, what was announced.
type bus struct {
	*Service
	conn    *link.Conn
	ctx     context.Context // ends with the connection
	clients clients
	pending pending

	// mu puts answers and signals in one order: it is held from reading what an
	// answer says, or changing what was announced, until the message is sent.
	// The store never waits for it.
	mu      sync.Mutex
	mirrors map[ccstore.Owner]mirror // see announce.go
}

// serve serves on a connection to a bus, which it closes at the end, until the
// bus or ctx ends.
func (s *Service) serve(ctx context.Context, socket link.Socket) error {
	b := &bus{
		Service: s,
		clients: newClients(),
		pending: newPending(),
		mirrors: make(map[ccstore.Owner]mirror),
	}
	var err error
	b.conn, err = link.New(socket, link.Config{
		Name: BusName, Interfaces: declared(), Labels: s.Level != nil, Logger: s.Logger,
	}, b)
	if err != nil {
		return err
	}
	defer b.conn.Close()
	var cancel context.CancelFunc
	b.ctx, cancel = context.WithCancel(b.conn.Context())
	defer cancel()
	if err := b.conn.Join(ctx); err != nil {
		return err
	}
	return b.live(ctx)
}

// live owns the name and serves until the connection or ctx ends.
func (b *bus) live(ctx context.Context) error {
	defer b.store.Watch(b.pending.add)()
	var running sync.WaitGroup
	running.Go(b.keepAnnouncing)
	defer running.Wait()
	defer b.releaseMirrors()
	defer b.conn.Close()

	if err := b.broadcast(); err != nil {
		return err
	}
	if err := b.conn.RequestName(ctx); err != nil {
		return err
	}
	for {
		select {
		case <-b.conn.Owned():
			b.Logger.Info("on the bus", "name", BusName, "address", b.Address)
			b.readyOnce.Do(func() { close(b.ready) })
		case <-b.conn.Lost():
			b.Logger.Warn("lost the name on the bus", "name", BusName)
		case <-b.ctx.Done():
			return errors.New("the bus closed the connection")
		case <-ctx.Done():
			b.conn.Leave()
			return nil
		}
	}
}

// broadcast begins to send signals to everybody, in session mode.
func (b *bus) broadcast() error {
	if !b.Session {
		return nil
	}
	self, ok := b.conn.Self()
	if !ok {
		return errors.New("the bus does not know the user id of this process")
	}
	scope, err := b.scopeOf(self)
	if err != nil {
		return err
	}
	b.clients.broadcast = &subscription{scope: scope, tickets: true}
	b.clients.byPeer[nil] = &client{sub: b.clients.broadcast}
	// The mirror has the expiry of its TGTs announced.
	q := newRequest(b, nil, new(client), scope)
	defer q.release()
	q.place = view.Place{Kind: view.AtCollection, UID: scope.UID}
	if err := b.read(q, nothing, b.keep); err != nil {
		b.Logger.Error("cannot load the collection", "err", err)
	}
	return nil
}

// notify makes a channel of capacity 1 readable.
func notify(ch chan<- struct{}) {
	select {
	case ch <- struct{}{}:
	default:
	}
}
