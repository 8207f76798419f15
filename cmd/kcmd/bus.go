package main

import (
	"context"
	"log/slog"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/dbus"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// A bus is the store's appearance on D-Bus.
type bus struct {
	ready <-chan struct{} // closed once it appears, or need not
	stop  func()          // makes it disappear
}

// startBus has the store appear on the bus that c names. Its troubles are
// logged and end nothing.
func startBus(c *config, store *ccstore.Store, clk clock.Clock, sockets []*socket, policy *selinux.Policy, log *slog.Logger) *bus {
	if c.bus == "none" {
		ready := make(chan struct{})
		close(ready)
		return &bus{ready: ready, stop: func() {}}
	}
	service := dbus.New(store, dbus.Config{
		Address:       c.bus,
		Session:       c.broadcasts(),
		SocketPath:    defaultPath(sockets),
		Version:       programVersion(),
		ExpiryWarning: c.expiryWarning,
		Clock:         clk,
		Limits: dbus.Limits{
			Caches:  uint32(c.limits.Caches),
			Tickets: uint32(c.limits.Tickets),
			Bytes:   uint64(c.limits.Bytes),
		},
		Level:  levelOf(policy),
		Logger: log,
	})
	// Not the context of the daemon: the order of the end is serve's.
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := service.Run(ctx); err != nil && ctx.Err() == nil {
			log.Error("not on D-Bus any longer, going on without", "err", err)
		}
	}()
	stop := func() {
		cancel()
		select {
		case <-done:
		case <-time.After(busPatience):
			log.Warn("the bus does not let go, ending without")
		}
	}
	return &bus{ready: service.Ready(), stop: stop}
}

// levelOf returns what D-Bus needs to keep callers with SELinux labels apart, nil
// if labels do not count.
func levelOf(policy *selinux.Policy) func(label string) (string, error) {
	if policy == nil {
		return nil
	}
	return selinux.Level
}

// broadcasts tells whether all on the bus may see the signals: it is the bus
// of one user. On the system bus it never is, whatever the mode.
func (c *config) broadcasts() bool {
	return c.bus == "session" || c.session && c.bus != "system"
}

// defaultPath returns the path of the socket that shows what D-Bus shows.
func defaultPath(sockets []*socket) string {
	for _, s := range sockets {
		if s.namespace == ccstore.DefaultNamespace {
			return s.path()
		}
	}
	return ""
}
