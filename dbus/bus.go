package dbus

import (
	"context"
	"errors"
	"sync"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/ratelog"
)

// A bus is one connection to the message bus with everything that ends with it:
// clients, subscriptions, what was announced.
type bus struct {
	*Service
	conn    *link.Conn
	stop    context.Context // ends when the service is to leave the bus
	ctx     context.Context // ends with the connection
	clients clients
	pending pending

	questions *budget.Pool // to polkit, under way

	// mu puts answers and signals in one order: it is held while an answer takes
	// its place and the snapshots that it is computed from, and while signals are
	// made. Nothing waits for the bus or the disk meanwhile.
	mu       sync.Mutex
	mirrors  map[ccstore.Owner]mirror // see announce.go
	mirrored int64                    // bytes of their collections
	shedding *ratelog.Logger
}

// serve serves on a connection to a bus, which it closes at the end, until the
// bus or ctx ends.
func (s *Service) serve(ctx context.Context, socket link.Socket) error {
	b := &bus{Service: s, stop: ctx, pending: newPending(), mirrors: make(map[ccstore.Owner]mirror)}
	b.shedding = ratelog.New(s.Logger, 1, time.Minute)
	b.questions = budget.NewPool("authorizations", asking)
	b.clients = newClients(b.pending.begin)
	var err error
	b.conn, err = link.New(socket, link.Config{
		Name: BusName, Interfaces: declared(), Labels: s.Level != nil, Broadcast: s.Session,
		Unread: s.Budgets.Unread, Requests: s.Budgets.Requests, Descriptors: s.Budgets.Descriptors,
		Crowded: s.Crowded, Logger: s.Logger,
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
	s.setBus(b)
	defer s.setBus(nil)
	return b.live()
}

// live owns the name and serves until the connection ends or the service stops.
func (b *bus) live() error {
	defer b.store.Watch(b.pending.add)()
	var running sync.WaitGroup
	running.Go(b.keepAnnouncing)
	defer b.end(&running)

	if err := b.broadcast(); err != nil {
		return err
	}
	if err := b.conn.RequestName(b.stop); err != nil {
		return err
	}
	select {
	case <-b.ctx.Done():
		return errors.New("the bus closed the connection")
	case <-b.stop.Done():
		b.conn.Leave()
		return nil
	}
}

// end closes the connection and drops all mirrors.
func (b *bus) end(running *sync.WaitGroup) {
	b.conn.Close()
	b.mu.Lock()
	b.forget(func(ccstore.Owner) bool { return false })
	b.mu.Unlock()
	running.Wait()
}

// Named implements link.Server.
func (b *bus) Named(ours bool) {
	switch {
	case ours:
		b.Logger.Info("on the bus", "name", BusName, "address", b.Address)
		b.readyOnce.Do(func() { close(b.ready) })
	case b.stop.Err() == nil:
		b.Logger.Warn("lost the name on the bus", "name", BusName)
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
	b.clients.broadcast = &subscription{scope: scope, topics: allTopics}
	b.clients.byPeer[nil] = &client{sub: b.clients.broadcast}
	// The mirror has the expiry of its TGTs announced.
	q := newRequest(b, nil, new(client), scope)
	defer q.release()
	q.place = view.Place{Kind: view.AtCollection, UID: scope.UID}
	if err := b.locked(q, (*reading).exists); err != nil {
		b.Logger.Error("cannot load the collection", "err", err)
	}
	return nil
}
