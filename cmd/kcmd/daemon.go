package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/dbus"
	"kcmd.org/kcmd/kcmserver"
	"kcmd.org/kcmd/kcmserver/selinux"
	"kcmd.org/kcmd/lifecycle"
)

// A daemon has the state that its parts share.
type daemon struct {
	*config
	read    func() (*config, error) // reads the configuration again
	budgets budget.Limits
	store   *ccstore.Store
	sockets []*socket
	passed  bool            // sockets are systemd's
	policy  *selinux.Policy // nil: ignore labels
	clock   clock.Clock
	started time.Time
	threads threads
	log     *slog.Logger
	level   *slog.LevelVar // of log

	// The parts that a reload changes; nil: the daemon has no such part.
	server    *kcmserver.Server
	service   *dbus.Service
	announcer *lifecycle.Announcer
	reaper    *lifecycle.Reaper
	desk      *lifecycle.Desk // nil: there is no way to a KDC
	renewer   *lifecycle.Renewer
	keeper    *lifecycle.Keeper
	idler     *idler

	present atomic.Pointer[config] // config, for other goroutines
}

// serve runs the daemon until ctx is done. It makes what its parts share.
func (d *daemon) serve(ctx context.Context) error {
	c, log := d.config, d.log
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
	d.passed = len(sockets) > 0
	if d.passed {
		warnUnused(c, sockets, log)
		warnBusy(c, log)
	} else if sockets, err = listen(c.sockets); err != nil {
		return err
	}
	defer removeSockets(sockets)
	clk, err := newClock()
	if err != nil {
		return err
	}
	d.sockets, d.clock, d.started, d.budgets = sockets, clk, clk.Now(), limits(c, log)
	d.store, err = openStore(ctx, c, d.budgets, clk, log)
	if err != nil && ctx.Err() != nil {
		return nil // a signal interrupted the start
	}
	if err != nil {
		if d.passed {
			log.Error("cannot start, answering clients with errors before ending", "err", err, "for", refusal)
			refuse(ctx, c, sockets, log)
		}
		return err
	}
	warnRivals(sockets, log)
	for _, s := range sockets {
		log.Info("serving", "socket", s.path(), "namespace", s.namespace, "store", c.store)
	}
	if c.selinux && !strings.HasPrefix(c.store, keyringStore) { // which has no place for labels
		d.policy = selinux.Load(log)
	}
	return runParts(ctx, d.parts(hangups), log)
}

// parts returns the parts of the daemon in the order in which to start them.
func (d *daemon) parts(hangups <-chan os.Signal) []row {
	d.present.Store(d.config)
	rows := []row{
		{name: "the store", part: closing(d.store), vital: true},
		{name: "the sockets", part: d.newServers(), vital: true},
		{name: "the watchdog", part: task(d.newWatchdog().run)},
	}
	d.desk = d.newDesk()
	onBus := closed
	if d.bus != "none" {
		d.announcer = d.newAnnouncer()
		rows = append(rows, row{name: "the announcement of expiring tickets", part: task(d.announcer.Run)})
		d.service = d.newBus()
		onBus = d.service.Ready()
		r := row{name: "D-Bus", part: d.service, start: busPatience, stop: busPatience}
		if startedByBus() {
			r.part, r.vital = lastBus{d.service, d.log}, true
		}
		rows = append(rows, r)
	}
	d.reaper = lifecycle.NewReaper(d.store, d.clock, d.log)
	rows = append(rows, row{name: "the removal of expired caches", part: task(d.reaper.Run)})
	d.warnKept()
	if d.desk != nil {
		d.renewer, d.keeper = d.newRenewer(), d.newKeeper()
		rows = append(rows,
			row{name: "the watch over the network", part: task(d.desk.Network().Run)},
			row{name: "the renewal of tickets", part: task(d.renewer.Run)},
			row{name: "the keeping of caches", part: task(d.keeper.Run)})
	}
	switch {
	case d.destroyAtLogout && d.session:
		d.log.Warn("the caches of a session stay after logout: logout = destroy is for the daemon of all users")
	case d.destroyAtLogout:
		rows = append(rows, row{name: "the destruction of caches at logout", part: task(d.newLogout().Run)})
	}
	if d.passed {
		d.idler = d.newIdler()
		rows = append(rows, row{name: "the end of an idle daemon", part: task(d.idler.run), vital: true})
	}
	r := &reporter{onBus: onBus, hangups: hangups, reload: d.reload, log: d.log}
	return append(rows, row{name: "systemd", part: task(r.run)})
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
	d.server = kcmserver.New(d.store, d.serverOptions())
	return &servers{server: d.server, sockets: d.sockets, log: d.log}
}

func (d *daemon) serverOptions() kcmserver.Options {
	return kcmserver.Options{
		Logger:        d.log,
		ClientTimeout: d.clientTimeout,
		Limits:        d.budgets,
		DefaultFirst:  d.defaultFirst,
		SELinux:       d.policy,
		Crowded:       d.threads.need,
	}
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
