package main

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"

	"kcmd.org/kcmd/ccstore"
)

// notify tells systemd about the state of the daemon, if systemd asked to be
// told.
func notify(log *slog.Logger, state ...string) {
	if _, err := daemon.SdNotify(false, strings.Join(state, "\n")); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}

// feedWatchdog tells systemd, if it asked to be told, that the daemon is alive,
// until the store is closed. It goes through the store each time, so that a
// store that has locked up does not count as alive.
func feedWatchdog(store *ccstore.Store, log *slog.Logger) {
	limit, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		log.Warn("cannot use the watchdog of systemd", "err", err)
	}
	if limit == 0 {
		return
	}
	// Any collection will do, and it is only read once.
	probe := ccstore.Owner{Namespace: ccstore.DefaultNamespace}
	go func() {
		for range time.Tick(limit / 2) {
			err := store.View(context.Background(), probe, func(*ccstore.Collection) error { return nil })
			if errors.Is(err, ccstore.ErrClosed) {
				return
			}
			notify(log, daemon.SdNotifyWatchdog)
		}
	}()
}
