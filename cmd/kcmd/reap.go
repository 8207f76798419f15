package main

import (
	"context"
	"log/slog"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/clock"
	"kcmd.org/kcmd/lifecycle"
)

// startReaper has caches removed that ended long ago, until the function that
// it returns is called.
func startReaper(c *config, store *ccstore.Store, clk clock.Clock, log *slog.Logger) (stop func()) {
	if c.reapAfter == 0 {
		return func() {}
	}
	reaper := lifecycle.New(store, lifecycle.Options{After: c.reapAfter, Clock: clk, Logger: log})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := reaper.Run(ctx); err != nil {
			log.Error("ended caches are not removed any longer", "err", err)
		}
	}()
	return func() {
		cancel()
		<-done
	}
}
