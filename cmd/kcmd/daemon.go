package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/kcmserver"
	"kcmd.org/kcmd/kcmserver/selinux"
)

const (
	// busPatience is how long a start waits for the bus. The KCM side works
	// without one, so whoever waits for the daemon must not wait for longer.
	busPatience = 2 * time.Second

	// stopPatience is how long requests under way may take once the daemon
	// was told to end.
	stopPatience = 10 * time.Second
)

// serve is the life of the daemon, until ctx is done.
func serve(ctx context.Context, c *config, log *slog.Logger) error {
	// Before anybody can know that we are there, and send one.
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, unix.SIGHUP)
	defer signal.Stop(hangups)

	// The sockets come first: a second daemon must not touch the store of the
	// first. Clients that come already wait in their queue.
	sockets, err := fromSystemd()
	if err != nil {
		return err
	}
	if stepsBack(ctx, c, len(sockets) > 0, systemSocket) {
		log.Info("a daemon of the machine serves this user already; give --socket to run one for the session all the same", "socket", systemSocket)
		return nil
	}
	if len(sockets) == 0 {
		if sockets, err = listen(c.sockets); err != nil {
			return err
		}
	}
	defer removeSockets(sockets)
	clk := clock.System{}
	store, err := openStore(ctx, c, clk, log)
	if err != nil && ctx.Err() != nil {
		return nil // told to end before it began
	}
	if err != nil {
		return err
	}
	policy := loadPolicy(c, log)
	server := kcmserver.New(store, kcmserver.Options{
		Logger:            log,
		ClientTimeout:     c.clientTimeout,
		MaxConnections:    c.maxConnections,
		MaxUIDConnections: c.maxUIDConnections,
		DefaultFirst:      c.defaultFirst,
		SELinux:           policy,
	})
	failed := make(chan error, len(sockets))
	for _, s := range sockets {
		log.Info("serving", "socket", s.path(), "namespace", s.namespace, "store", c.store)
		go func() { failed <- server.Serve(s, s.namespace) }()
	}
	bus := startBus(c, store, clk, sockets, policy, log)
	stopReaper := startReaper(c, store, clk, log)
	err = waitForEnd(ctx, store, bus, failed, hangups, log)

	log.Info("stopping")
	notify(log, "STOPPING=1", "STATUS=Finishing what is under way")
	stopReaper()
	bus.stop()
	removeSockets(sockets)
	return errors.Join(err, finish(server, store, log))
}

// loadPolicy returns the SELinux policy, nil if labels do not count.
func loadPolicy(c *config, log *slog.Logger) *selinux.Policy {
	if !c.selinux {
		return nil
	}
	return selinux.Load(log)
}

// waitForEnd tells systemd when the daemon is ready, and returns when ctx is
// done, or with an error when a socket cannot be served any longer.
func waitForEnd(ctx context.Context, store *ccstore.Store, bus *bus, failed <-chan error, hangups <-chan os.Signal, log *slog.Logger) error {
	feedWatchdog(store, log)
	ready := bus.ready
	patience := time.After(busPatience)
	for {
		select {
		case <-ready:
			ready, patience = nil, nil
			notify(log, "READY=1", "STATUS=Serving credential caches")
		case <-patience:
			ready, patience = nil, nil
			notify(log, "READY=1", "STATUS=Serving credential caches, not on D-Bus yet")
			log.Warn("not on D-Bus yet, going on without")
		case <-hangups:
			log.Info("hangup ignored: the configuration is read at the start only")
		case err := <-failed:
			return err
		case <-ctx.Done():
			return nil
		}
	}
}

// finish lets requests under way end and closes the store.
func finish(server *kcmserver.Server, store *ccstore.Store, log *slog.Logger) error {
	ctx, cancel := context.WithTimeout(context.Background(), stopPatience)
	defer cancel()
	if err := server.Shutdown(ctx); err != nil {
		log.Warn("clients were cut off in the middle of a request", "err", err)
	}
	if err := store.Close(); err != nil {
		return fmt.Errorf("cannot close the store: %w", err)
	}
	return nil
}

// removeSockets removes our own sockets, so that clients see that there is no
// daemon. Those of systemd stay, for the next one.
func removeSockets(sockets []*socket) {
	for _, s := range sockets {
		s.remove()
	}
}
