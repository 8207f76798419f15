package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/kcmserver"
	"kcmd.org/kcmd/kcmserver/selinux"
	"kcmd.org/kcmd/lifecycle"
)

// serve runs the daemon until ctx is done.
func serve(ctx context.Context, c *config, log *slog.Logger) error {
	// Before another process can find this one and send SIGHUP, which would end it.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)

	// The sockets come first: a second daemon fails here, before it touches the
	// store. Clients that connect meanwhile wait in the queues of the sockets.
	sockets, err := fromSystemd()
	if err != nil {
		return err
	}
	if stepsBack(ctx, c, sockets, systemSocket) {
		return stepBack(ctx, c, sockets, log)
	}
	passed := len(sockets) > 0
	if passed {
		warnUnused(c, sockets, log)
	} else if sockets, err = listen(c.sockets); err != nil {
		return err
	}
	defer removeSockets(sockets)
	clk, err := newClock()
	if err != nil {
		return err
	}
	budgets := limits(c, log)
	useThreads()
	store, err := openStore(ctx, c, budgets, clk, log)
	if err != nil && ctx.Err() != nil {
		return nil // a signal interrupted the start
	}
	if err != nil {
		if passed {
			log.Error("cannot start, answering clients with errors before ending", "err", err, "for", refusal)
			refuse(ctx, c, sockets, log)
		}
		return err
	}
	warnRivals(sockets, log)
	for _, s := range sockets {
		log.Info("serving", "socket", s.path(), "namespace", s.namespace, "store", c.store)
	}
	d := &daemon{config: c, budgets: budgets, store: store, sockets: sockets, clock: clk, started: clk.Now(), log: log}
	if c.selinux {
		d.policy = selinux.Load(log)
	}
	return runParts(ctx, d.parts(hangups), log)
}

// A daemon has the state that its parts share.
type daemon struct {
	*config
	budgets budget.Limits
	store   *ccstore.Store
	sockets []*socket
	policy  *selinux.Policy // nil: ignore labels
	clock   clock.Clock
	started time.Time
	server  *kcmserver.Server
	log     *slog.Logger
}

// parts returns the parts of the daemon in the order in which to start them.
func (d *daemon) parts(hangups <-chan os.Signal) []row {
	rows := []row{
		{name: "hangups", part: ignoring(hangups, d.log)},
		{name: "the store", part: closing(d.store), vital: true},
		{name: "the watchdog", part: watchdog(d.store, d.log)},
		{name: "the sockets", part: d.newServers(), vital: true},
	}
	desk := d.newDesk()
	onBus := closed
	if d.bus != "none" {
		rows = append(rows, row{name: "the announcement of expiring tickets", part: task(d.newAnnouncer().Run)})
		bus := d.newBus(desk)
		onBus = bus.Ready()
		r := row{name: "D-Bus", part: bus, start: busPatience, stop: busPatience}
		if startedByBus() {
			r.part, r.vital = lastBus{bus, d.log}, true
		}
		rows = append(rows, r)
	}
	if d.reapAfter > 0 {
		reaper := lifecycle.NewReaper(d.store, d.clock, d.log)
		rows = append(rows, row{name: "the removal of expired caches", part: task(reaper.Run)})
	}
	if desk != nil {
		rows = append(rows, row{name: "the watch over the network", part: task(desk.Network().Run)})
	}
	if desk != nil && d.renew != renewNone {
		rows = append(rows, row{name: "the renewal of tickets", part: task(d.newRenewer(desk).Run)})
	}
	switch {
	case d.destroyAtLogout && d.session:
		d.log.Warn("the caches of a session stay after logout: logout = destroy is for the daemon of all users")
	case d.destroyAtLogout:
		rows = append(rows, row{name: "the destruction of caches at logout", part: task(d.newLogout().Run)})
	}
	switch {
	case len(d.keep) == 0:
	case desk == nil:
		d.log.Error("cannot keep caches filled from keytabs: there is no way to a KDC")
	default:
		rows = append(rows, row{name: "the keeping of caches", part: task(d.newKeeper(desk).Run)})
	}
	return append(rows, row{name: "systemd", part: reporting(onBus, d.log)})
}

// ignoring returns the part that logs hangups.
func ignoring(hangups <-chan os.Signal, log *slog.Logger) task {
	return func(ctx context.Context) error {
		for {
			select {
			case <-hangups:
				log.Info("SIGHUP ignored: kcmd reads its configuration only when it starts")
			case <-ctx.Done():
				return nil
			}
		}
	}
}

// closing returns the part that closes the store at the end.
func closing(store *ccstore.Store) task {
	return func(ctx context.Context) error {
		<-ctx.Done()
		if err := store.Close(); err != nil {
			return fmt.Errorf("cannot close the store: %w", err)
		}
		return nil
	}
}

// stopPatience limits the time for the requests in progress at the end.
const stopPatience = 10 * time.Second

// servers is the part that answers KCM requests at all sockets.
type servers struct {
	server  *kcmserver.Server
	sockets []*socket
	log     *slog.Logger
}

func (d *daemon) newServers() *servers {
	d.server = kcmserver.New(d.store, kcmserver.Options{
		Logger:        d.log,
		ClientTimeout: d.clientTimeout,
		Limits:        d.budgets,
		DefaultFirst:  d.defaultFirst,
		SELinux:       d.policy,
	})
	return &servers{server: d.server, sockets: d.sockets, log: d.log}
}

// Ready returns a closed channel: the sockets queue clients before Run.
func (*servers) Ready() <-chan struct{} { return closed }

// Run serves until ctx is done or a socket fails. Then it waits for the requests in
// progress.
func (s *servers) Run(ctx context.Context) error {
	failed := make(chan error, len(s.sockets))
	for _, socket := range s.sockets {
		go func() { failed <- s.server.Serve(socket, socket.namespace) }()
	}
	var err error
	select {
	case err = <-failed:
	case <-ctx.Done():
	}
	removeSockets(s.sockets)
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := s.server.Shutdown(ctx); err != nil {
		s.log.Warn("closed connections in the middle of a request", "err", err)
	}
	return err
}

// removeSockets removes the sockets that we made, so that clients see that no daemon
// runs. The sockets of systemd stay for the next daemon.
func removeSockets(sockets []*socket) {
	for _, s := range sockets {
		s.remove()
	}
}
