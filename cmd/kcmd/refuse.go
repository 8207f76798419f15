package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/clock"
)

// exitConfig is the exit status of a daemon with a wrong command line or
// configuration: EX_CONFIG of sysexits.h. RestartPreventExitStatus= of the unit
// names it, because a restart would fail in the same way.
const exitConfig = 78

// refusal is how long a daemon that cannot start answers with errors. Clients that
// wait at a socket of systemd, or for the name on the bus, get an answer. It also
// limits how often the next clients can have systemd start the daemon again.
const refusal = 2 * time.Second

var errNotStarted = errors.New("kcmd could not start")

// refuse answers clients at the sockets and on the bus with errors, for the time
// refusal.
func refuse(ctx context.Context, c *config, sockets []*socket, log *slog.Logger) {
	ctx, cancel := context.WithTimeout(ctx, refusal)
	defer cancel()
	quiet := slog.New(slog.DiscardHandler)
	clk := clock.System{}
	store := ccstore.Open(noBackend{memory.New()}, ccstore.Options{Logger: quiet, Clock: clk})
	d := &daemon{config: c, store: store, sockets: sockets, clock: clk, log: quiet}
	rows := []row{{name: "the store", part: closing(store)}, {name: "the sockets", part: d.newServers()}}
	if c.bus != "none" {
		rows = append(rows, row{name: "D-Bus", part: d.newBus(), stop: busPatience})
	}
	if err := runParts(ctx, rows, quiet); err != nil {
		log.Warn("cannot answer the waiting clients", "err", err)
	}
}

// refuseUnread is refuse for a daemon that cannot read its configuration. It answers
// at the sockets of systemd and on the default bus, and does nothing without such
// sockets.
func refuseUnread(ctx context.Context, session bool, log *slog.Logger) {
	sockets, err := fromSystemd()
	if err != nil || len(sockets) == 0 || harden() != nil { // clients may send tickets
		return
	}
	log.Info("cannot start, answering clients with errors before ending", "for", refusal)
	refuse(ctx, defaultConfig(session), sockets, log)
}

// noBackend is a backend that cannot be read.
type noBackend struct{ ccstore.Backend }

func (noBackend) Load(context.Context, ccstore.Owner) (*ccstore.Record, error) {
	return nil, errNotStarted
}

func (noBackend) Owners(context.Context) ([]ccstore.Owner, error) { return nil, errNotStarted }
