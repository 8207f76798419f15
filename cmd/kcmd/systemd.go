package main

import (
	"context"
	"log/slog"
	"strings"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"

	"kcmd.org/kcmd/ccstore"
)

const (
	serving      = "STATUS=Serving credential caches"
	servingNoBus = "STATUS=Serving credential caches, not on D-Bus yet"
)

// reporting is the part that reports the daemon's state to systemd. It is started
// last and ended first.
func reporting(onBus <-chan struct{}, log *slog.Logger) task {
	return func(ctx context.Context) error {
		select {
		case <-onBus:
			notify(log, sd.SdNotifyReady, serving)
		default:
			notify(log, sd.SdNotifyReady, servingNoBus)
			select {
			case <-onBus:
				notify(log, serving)
			case <-ctx.Done():
			}
		}
		<-ctx.Done()
		log.Info("stopping")
		notify(log, sd.SdNotifyStopping, "STATUS=Finishing the requests in progress")
		return nil
	}
}

// notify sends systemd the state of the daemon, if systemd asked for it.
func notify(log *slog.Logger, state ...string) {
	if _, err := sd.SdNotify(false, strings.Join(state, "\n")); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}

// watchdog is the part that reports to systemd, if systemd asked for it, that the
// daemon is alive. It reads from the store each time, so that a store that has
// locked up does not count as alive.
func watchdog(store *ccstore.Store, log *slog.Logger) task {
	return func(ctx context.Context) error {
		limit, err := sd.SdWatchdogEnabled(false)
		if err != nil || limit == 0 {
			return err
		}
		tick := time.NewTicker(limit / 2)
		defer tick.Stop()
		// Any collection will do, and it is only read once.
		probe := ccstore.Owner{Namespace: ccstore.DefaultNamespace}
		for {
			select {
			case <-tick.C:
				_ = store.View(ctx, probe, func(*ccstore.Collection) error { return nil })
				notify(log, sd.SdNotifyWatchdog)
			case <-ctx.Done():
				return nil
			}
		}
	}
}
