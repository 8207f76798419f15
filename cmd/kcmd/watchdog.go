package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	sd "github.com/coreos/go-systemd/v22/daemon"
	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A watchdog serves the watchdog of systemd, if the unit has one. It reports only what it
// has found out: that each socket is accepted from and a request there answered, as any
// client's, and that the backend is read. A deadlock so ends the reports, and systemd
// starts the daemon again. An error is an answer: a new start would not repair a disk.
type watchdog struct {
	store   *ccstore.Store
	sockets []watched
	log     *slog.Logger
}

// A watched is a socket that is tried. One of systemd may be out of our reach, which a
// restart would not change: somebody removed it, or SELinux forbids to connect.
type watched struct {
	path string
	own  bool // we made it
}

// tries is how often the daemon is tried in the time of the watchdog.
const tries = 4

func (d *daemon) newWatchdog() *watchdog {
	w := &watchdog{store: d.store, log: d.log}
	for _, s := range d.sockets {
		w.sockets = append(w.sockets, watched{s.path(), s.file != nil})
	}
	return w
}

func (w *watchdog) run(ctx context.Context) error {
	limit, err := sd.SdWatchdogEnabled(false)
	if err != nil || limit == 0 {
		return err
	}
	tick := time.NewTicker(limit / tries)
	defer tick.Stop()
	var answer chan error // of a try under way
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if answer == nil {
			answer = w.begin(ctx, limit/tries)
		}
		select {
		case <-ctx.Done():
			return nil
		case err := <-answer:
			answer = nil
			w.report(err)
		case <-time.After(limit / tries):
			w.report(errors.New("no answer in time"))
		}
	}
}

func (w *watchdog) report(err error) {
	if err != nil {
		w.log.Error("kcmd does not answer itself; if that lasts, systemd starts it again", "err", err)
		return
	}
	notify(w.log, sd.SdNotifyWatchdog)
}

// begin begins to try the daemon. What blocks for ever must not block the watchdog.
func (w *watchdog) begin(ctx context.Context, patience time.Duration) chan error {
	answer := make(chan error, 1)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, patience)
		defer cancel()
		err := w.try(ctx)
		if err == nil {
			err = ctx.Err() // it came too late
		}
		answer <- err
	}()
	return answer
}

// try reads from the backend, and asks at each socket.
func (w *watchdog) try(ctx context.Context) error {
	// A query, and not a collection, which may be in memory.
	_, err := w.store.Due(ctx, ccstore.Reaping, math.MinInt64, ccstore.Never, 1)
	if ctx.Err() != nil {
		return fmt.Errorf("the store does not answer: %w", err)
	}
	for i := range w.sockets {
		if err := w.sockets[i].try(ctx); err != nil {
			return fmt.Errorf("socket %s: %w", w.sockets[i].path, err)
		}
	}
	return nil
}

// try makes a request at the socket, as clients do.
func (s watched) try(ctx context.Context) error {
	c, err := client.Dial(ctx, s.path)
	for errors.Is(err, unix.EAGAIN) && ctx.Err() == nil { // many clients wait there
		time.Sleep(10 * time.Millisecond)
		c, err = client.Dial(ctx, s.path)
	}
	if !s.own && (errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM)) {
		return nil
	}
	if err != nil {
		return err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { c.Close() })
	defer stop()
	if _, err = c.GetDefaultCache(); errors.As(err, new(kcm.Code)) {
		return nil
	}
	return err
}
