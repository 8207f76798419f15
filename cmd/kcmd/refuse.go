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

// exitConfig is the exit status of a daemon whose command line or configuration
// is wrong: EX_CONFIG of sysexits.h. It cannot start before an administrator has
// changed something: RestartPreventExitStatus= of the unit has it.
const exitConfig = 78

// refusal is how long a daemon that cannot start answers with errors. The clients
// that wait in a socket of systemd's, or for the name on the bus, get an answer
// in place of none; and as the socket starts the daemon again when the next
// client comes, it is also how often that can happen.
const refusal = 2 * time.Second

var errNotStarted = errors.New("kcmd could not start")

// refuse answers every client of the sockets and on the bus with an error for a
// while.
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
		log.Warn("cannot answer the clients that wait", "err", err)
	}
}

// refuseUnread is refuse for a daemon whose configuration cannot be read: it
// answers at the sockets of systemd, if there are any, and on the default bus.
func refuseUnread(ctx context.Context, session bool, log *slog.Logger) {
	sockets, err := fromSystemd()
	if err != nil || len(sockets) == 0 {
		return
	}
	if harden() != nil { // tickets may go through the memory
		return
	}
	log.Info("cannot start, answering clients with errors before ending", "for", refusal)
	refuse(ctx, defaultConfig(session), sockets, log)
}

// noBackend has nothing that can be read.
type noBackend struct{ ccstore.Backend }

func (noBackend) Load(context.Context, ccstore.Owner) (*ccstore.Record, error) {
	return nil, errNotStarted
}

func (noBackend) Owners(context.Context) ([]ccstore.Owner, error) { return nil, errNotStarted }
