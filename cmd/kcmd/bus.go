package main

import (
	"context"
	"log/slog"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// busPatience is how long a start waits for the bus, and an end for leaving it.
// The KCM side works without a bus, so nothing that waits for the daemon should
// wait for longer.
const busPatience = 2 * time.Second

// newBus returns the part that shows the store on the configured bus.
func (d *daemon) newBus() *dbus.Service {
	return dbus.New(d.store, dbus.Config{
		Address:       d.bus,
		Session:       d.broadcasts(),
		SocketPath:    defaultPath(d.sockets),
		Version:       programVersion(),
		ExpiryWarning: d.expiryWarning,
		Clock:         d.clock,
		Limits: dbus.Limits{
			Caches:  uint32(d.limits.Caches),
			Tickets: uint32(d.limits.Tickets),
			Bytes:   uint64(d.limits.Bytes),
		},
		Once:   startedByBus(),
		Level:  levelOf(d.policy),
		Logger: d.log,
	})
}

// A lastBus is the bus that started the daemon: they end together.
type lastBus struct {
	*dbus.Service
	log *slog.Logger
}

// Run serves until ctx is done or the bus goes away.
func (b lastBus) Run(ctx context.Context) error {
	err := b.Service.Run(ctx)
	if ctx.Err() == nil {
		b.log.Info("the bus that started kcmd is gone, ending", "err", err)
	}
	return nil
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
