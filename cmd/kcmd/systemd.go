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

// reporting returns the part that reports the daemon's state to systemd. It starts
// last and ends first.
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

// notify sends the state of the daemon to systemd, if systemd started it.
func notify(log *slog.Logger, state ...string) {
	if _, err := sd.SdNotify(false, strings.Join(state, "\n")); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}

// watchdog returns the part that serves the watchdog of systemd, if the unit has one.
// It reads from the store before each report, so that a deadlock of the store stops
// the reports.
func watchdog(store *ccstore.Store, log *slog.Logger) task {
	return func(ctx context.Context) error {
		limit, err := sd.SdWatchdogEnabled(false)
		if err != nil || limit == 0 {
			return err
		}
		tick := time.NewTicker(limit / 2)
		defer tick.Stop()
		// Any collection; the backend reads it only once.
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
