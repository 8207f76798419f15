package main

import (
	"context"
	"log/slog"
	"os"
	"strings"

	sd "github.com/coreos/go-systemd/v22/daemon"
)

const (
	serving      = "STATUS=Serving credential caches"
	servingNoBus = "STATUS=Serving credential caches, not on D-Bus yet"
)

// A reporter reports the daemon's state to systemd, and has the configuration reloaded
// at each SIGHUP. It starts last and ends first.
type reporter struct {
	onBus   <-chan struct{}
	hangups <-chan os.Signal
	reload  func() error
	log     *slog.Logger
}

func (r *reporter) run(ctx context.Context) error {
	status, onBus := serving, (<-chan struct{})(nil)
	select {
	case <-r.onBus:
	default:
		status, onBus = servingNoBus, r.onBus
	}
	notify(r.log, sd.SdNotifyReady, status)
	for {
		select {
		case <-onBus:
			status, onBus = serving, nil
			notify(r.log, status)
		case <-r.hangups:
			r.reloading(status)
		case <-ctx.Done():
			r.log.Info("stopping")
			notify(r.log, sd.SdNotifyStopping, "STATUS=Finishing the requests in progress")
			return nil
		}
	}
}

// reloading has the configuration reloaded as Type=notify-reload wants it: systemd waits
// for READY=1. It has no word for a reload that failed, but the status.
func (r *reporter) reloading(status string) {
	notify(r.log, sd.SdNotifyReloading, sd.SdNotifyMonotonicUsec())
	if r.reload() != nil {
		status += "; the last reload failed, see the log"
	}
	notify(r.log, sd.SdNotifyReady, status)
}

// notify sends the state of the daemon to systemd, if systemd started it.
func notify(log *slog.Logger, state ...string) {
	if _, err := sd.SdNotify(false, strings.Join(state, "\n")); err != nil {
		log.Warn("cannot notify systemd", "err", err)
	}
}
