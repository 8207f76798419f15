package main

import (
	"context"
	"log/slog"
	"os"
	"strings"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus"
	"kcmd.org/kcmd/kcmserver/selinux"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/lifecycle/logind"
	"kcmd.org/kcmd/version"
)

// busPatience limits the wait for the bus at the start and at the end. KCM requests
// work without a bus, so it must not delay the daemon for longer.
const busPatience = 2 * time.Second

// systemBus returns the address of the bus on which services of the machine are.
func (d *daemon) systemBus() string {
	if strings.HasPrefix(d.bus, "unix:") {
		return d.bus
	}
	return logind.SystemBus
}

// newBus returns the part that publishes the store on the configured bus.
func (d *daemon) newBus() *dbus.Service {
	terms := d.busTerms()
	c := dbus.Config{
		Address:       d.bus,
		Session:       d.broadcasts(),
		SocketPath:    defaultPath(d.sockets),
		Version:       version.Version(),
		ExpiryWarning: terms.ExpiryWarning,
		Clock:         d.clock,
		Budgets:       d.budgets,
		Limits:        terms.Limits,
		Statistics:    d.statistics(),
		Once:          startedByBus(),
		Logger:        d.log,
		LogLevel:      d.level,
		LogTarget:     logTarget(os.Stderr),
		Acquires:      d.acquires(),
		Renews:        terms.Renews,
		Crowded:       d.threads.need,
	}
	if d.policy != nil {
		c.Level = selinux.Level
	}
	if d.desk != nil { // a nil *Desk in an interface is not nil
		c.KDC = callDesk{d.desk}
	}
	return dbus.New(d.store, c)
}

// busTerms returns what may change while the daemon is on the bus.
func (d *daemon) busTerms() dbus.Terms {
	return dbus.Terms{
		ExpiryWarning: d.expiryWarning,
		Limits: dbus.Limits{
			Caches:  uint32(d.limits.Caches),
			Tickets: uint32(d.limits.Tickets),
			Bytes:   uint64(d.limits.Bytes),
		},
		Renews:      d.desk != nil && d.renew != renewNone,
		Collections: d.budgets.Collections.Whole,
	}
}

// newAnnouncer returns the part that has the bus learn of tickets that expire.
func (d *daemon) newAnnouncer() *lifecycle.Announcer {
	return lifecycle.NewAnnouncer(d.store, lifecycle.AnnouncerOptions{
		Clock:   d.clock,
		Warning: d.expiryWarning,
		Logger:  d.log,
	})
}

// A lastBus is the bus that started the daemon. The daemon ends with it.
type lastBus struct {
	*dbus.Service
	log *slog.Logger
}

// Run serves until ctx is done or the bus disconnects.
func (b lastBus) Run(ctx context.Context) error {
	err := b.Service.Run(ctx)
	if ctx.Err() == nil {
		b.log.Info("the bus that started kcmd disconnected; ending", "err", err)
	}
	return nil
}

// broadcasts reports whether every client of the bus may receive the signals, because
// it is the bus of one user. The system bus never is.
func (c *config) broadcasts() bool {
	return c.bus == "session" || c.session && c.bus != "system"
}

// defaultPath returns the path of a socket with the collections that D-Bus shows, ""
// if there is no such socket.
func defaultPath(sockets []*socket) string {
	for _, s := range sockets {
		if s.namespace == ccstore.DefaultNamespace {
			return s.path()
		}
	}
	return ""
}
