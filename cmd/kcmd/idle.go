package main

import (
	"context"
	"errors"
	"log/slog"
	"math"
	"time"

	"github.com/spf13/pflag"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/lifecycle/systemd"
)

// leastIdle is the shortest idle_timeout. A daemon that ended at once would serve nobody.
const leastIdle = 100 * time.Millisecond

// readConfigOf returns the configuration of a daemon that systemd passed sockets, or not.
func readConfigOf(flags *pflag.FlagSet, activated bool) (*config, error) {
	c, err := readConfig(flags)
	switch {
	case err != nil:
		return nil, err
	case c.idleTimeout == 0:
		return c, nil
	case !activated:
		return nil, errors.New("idle_timeout is not allowed without a socket of systemd, by which the next client starts kcmd again; allowed: 0")
	case c.store == memoryStore:
		return nil, errors.New("idle_timeout is not allowed with the store memory:, whose tickets would be lost; allowed: 0")
	}
	return c, nil
}

// An idler ends the daemon when nobody has needed it for idle_timeout. The sockets stay
// with systemd: a client that connects meanwhile waits there for the next daemon, unless
// the socket is flushed (warnFlushing).
type idler struct {
	d    *daemon
	wake chan struct{} // receives when the settings changed
}

func (d *daemon) newIdler() *idler { return &idler{d: d, wake: make(chan struct{}, 1)} }

// look has the idler look at the settings again.
func (i *idler) look() {
	select {
	case i.wake <- struct{}{}:
	default:
	}
}

// run waits until the daemon is idle, or ctx is done.
func (i *idler) run(ctx context.Context) error {
	began, warned := time.Now(), false
	for {
		timeout := i.d.present.Load().idleTimeout
		if timeout > 0 && !warned {
			warned = true
			i.d.warnFlushing(ctx)
		}
		wait := i.remaining(ctx, began, timeout)
		if timeout > 0 && wait <= 0 {
			i.d.log.Info("idle, ending; the next client starts kcmd again", "idle_timeout", timeout)
			return nil
		}
		var again <-chan time.Time
		if timeout > 0 {
			again = time.After(wait)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-i.wake:
		case <-again:
		}
	}
}

// remaining returns how much longer the daemon is needed, at least.
func (i *idler) remaining(ctx context.Context, last time.Time, timeout time.Duration) time.Duration {
	open, ended := i.d.server.Activity()
	needed := open > 0 || i.awaited()
	if ended.After(last) {
		last = ended
	}
	if i.d.service != nil {
		onBus, called := i.d.service.Activity()
		needed = needed || onBus
		if called.After(last) {
			last = called
		}
	}
	left := timeout - time.Since(last)
	if needed || left <= 0 && i.hasWork(ctx) {
		return timeout
	}
	return left
}

// awaited reports whether a client waits at a socket.
func (i *idler) awaited() bool {
	for _, s := range i.d.sockets {
		if s.awaited() {
			return true
		}
	}
	return false
}

// hasWork reports whether something is to be done without a client. The removal of expired
// caches is not: the next daemon does it.
func (i *idler) hasWork(ctx context.Context) bool {
	c := i.d.present.Load()
	if len(c.keep) > 0 || c.destroyAtLogout && !c.session {
		return true
	}
	if i.d.desk == nil || c.renew == renewNone {
		return false
	}
	due, err := i.d.store.Due(ctx, ccstore.Renewing, math.MinInt64, ccstore.Never-1, 1)
	if err != nil {
		i.d.log.Warn("cannot find out whether tickets are to be renewed", "err", err)
		return true
	}
	return len(due) > 0
}

// warnBusy logs that the daemon never is idle, if the configuration says both.
func warnBusy(c *config, log *slog.Logger) {
	if c.idleTimeout > 0 && (len(c.keep) > 0 || c.destroyAtLogout && !c.session) {
		log.Warn("idle_timeout has no effect with [[keep]] tables or logout = destroy, for which kcmd must run")
	}
}

// systemdPatience limits the wait for systemd's answers on the bus.
const systemdPatience = 10 * time.Second

// warnFlushing logs which sockets lose clients that connect in the moment in which an
// idle daemon ends, as far as systemd says so on the bus. The socket of a session has them
// wait.
func (d *daemon) warnFlushing(ctx context.Context) {
	if d.session || d.bus == "none" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, systemdPatience)
	defer cancel()
	flushing, err := systemd.Flushing(ctx, d.systemBus())
	if err != nil {
		d.log.Debug("cannot find out which sockets have FlushPending=yes", "err", err)
	}
	for _, unit := range flushing {
		d.log.Warn("systemd resets the connections of clients that connect while an idle kcmd ends; to have them wait, set FlushPending=no in the [Socket] section", "unit", unit)
	}
}
