package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"kcmd.org/kcmd/dbus/client"
)

func newWait(o *options) *cobra.Command {
	validFor, timeout := time.Duration(0), time.Duration(-1)
	cmd := &cobra.Command{
		Use:   "wait [CACHE|PRINCIPAL]",
		Short: "wait until a cache has a valid TGT",
		Long: `kcmctl wait waits until the default cache, or the named one, has a TGT that is
valid for a while. The cache may be missing at first.`,
		Args: cobra.MaximumNArgs(1), ValidArgsFunction: o.completeCaches(),
		RunE: func(cmd *cobra.Command, args []string) error {
			return o.with(cmd.Context(), func(b *bus) error {
				ctx := cmd.Context()
				if timeout >= 0 {
					var cancel context.CancelFunc
					ctx, cancel = context.WithTimeout(ctx, max(timeout, time.Nanosecond))
					defer cancel()
				}
				w := waiter{b: b, args: args, validFor: validFor}
				c, err := w.now(cmd.Context())
				if err == nil && c == nil && timeout != 0 {
					c, err = w.wait(ctx)
				}
				switch {
				case cmd.Context().Err() != nil:
					return cmd.Context().Err()
				case err != nil && ctx.Err() == nil:
					return err
				case c == nil:
					return fail(exitNotValid, "%s", w.missing)
				}
				return b.printCache(cmd.Context(), o, *c, "is valid")
			})
		},
	}
	durationFlag(cmd.Flags(), &validFor, "valid-for", "", "the TGT must be valid for this `DURATION` (10m) from now")
	durationFlag(cmd.Flags(), &timeout, "timeout", "", "wait no longer than this `DURATION`; 0: only look")
	return cmd
}

// enough ends the wait for events before the first.
var enough = errors.New("enough")

// A waiter waits for a valid TGT.
type waiter struct {
	b        *bus
	args     []string
	validFor time.Duration
	missing  string // why the last look was in vain
}

// wait looks after each event. It outlives restarts of kcmd.
func (w *waiter) wait(ctx context.Context) (found *chosen, err error) {
	ready := func() error {
		if found, err = w.subscribe(ctx); err == nil && found != nil {
			return enough
		}
		return err
	}
	for e, broken := range w.b.Events(ctx, ready) {
		if errors.Is(broken, enough) {
			return found, nil
		}
		if broken != nil {
			return nil, broken
		}
		restart, ok := e.(client.Restarted)
		switch {
		case !ok:
			found, err = w.now(ctx)
		case restart.Running:
			found, err = w.subscribe(ctx)
		}
		if errors.Is(err, client.ErrNotRunning) {
			err = nil // it comes back
		}
		if err != nil || found != nil {
			return found, err
		}
	}
	return found, err
}

func (w *waiter) subscribe(ctx context.Context) (*chosen, error) {
	if err := w.b.Subscribe(ctx, client.SubscribeOptions{}); err != nil {
		return nil, explain("follow kcmd", err)
	}
	return w.now(ctx)
}

// now returns the cache if it has such a TGT, else nil.
func (w *waiter) now(ctx context.Context) (*chosen, error) {
	c, err := w.b.cache(ctx, w.args, first)
	if f := (failure{}); errors.As(err, &f) && f.status == exitNotFound {
		w.missing = f.Error()
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	left := time.Until(c.EndTime.Add(-time.Duration(c.KdcOffset) * time.Second))
	switch {
	case c.State != "valid" && c.State != "expiring":
		w.missing = fmt.Sprintf("the TGT in %s is not valid: %s", c.what(), c.State)
	case left < w.validFor:
		w.missing = fmt.Sprintf("the TGT in %s is valid for %v only", c.what(), left.Truncate(time.Second))
	default:
		return &c, nil
	}
	return nil, nil
}
