package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// A part is something that the daemon runs beside others.
type part interface {
	// Run works until ctx is done. It ends in order what it has begun, and
	// returns nil, or the reason why it could not work or end.
	Run(ctx context.Context) error

	// Ready returns a channel that is closed once the part does its work.
	Ready() <-chan struct{}
}

// A row is a part, and what the daemon does with it.
type row struct {
	name  string
	part  part
	vital bool          // the daemon ends with it; without others it goes on
	start time.Duration // how long the next row waits until this part is ready
	stop  time.Duration // how long the end waits for Run to return; 0: for ever
}

// runParts starts the parts in order, and ends them in reverse: when ctx is done,
// or when Run of a vital one returns. It returns the errors of the vital parts.
func runParts(ctx context.Context, rows []row, log *slog.Logger) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var started []*running
	for _, r := range rows {
		if ctx.Err() != nil {
			break
		}
		started = append(started, start(r, cancel, log))
		started[len(started)-1].waitReady(ctx)
	}
	<-ctx.Done()
	var errs []error
	for _, p := range slices.Backward(started) {
		errs = append(errs, p.end())
	}
	return errors.Join(errs...)
}

// A running is a part that was started.
type running struct {
	row
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of a vital part, for those who saw done
}

// start runs a part. If it is vital, ended is called when it returns.
func start(r row, ended func(), log *slog.Logger) *running {
	// Not the context of the daemon: each part ends at its turn.
	ctx, cancel := context.WithCancel(context.Background())
	p := &running{row: r, log: log, cancel: cancel, done: make(chan struct{})}
	go func() {
		defer close(p.done)
		err := r.part.Run(ctx)
		switch {
		case r.vital:
			p.err = err
			ended()
		case err != nil:
			log.Error(r.name+" failed, going on without it", "err", err)
		}
	}()
	return p
}

// waitReady waits until the part is ready, but not for ever.
func (p *running) waitReady(ctx context.Context) {
	if p.start == 0 {
		return
	}
	timeout := time.NewTimer(p.start)
	defer timeout.Stop()
	select {
	case <-p.part.Ready():
	case <-p.done:
	case <-ctx.Done():
	case <-timeout.C:
		p.log.Warn(p.name + " is not ready yet, going on without it")
	}
}

// end has the part end, and returns its error.
func (p *running) end() error {
	p.cancel()
	var timeout <-chan time.Time
	if p.stop > 0 {
		timeout = time.After(p.stop)
	}
	select {
	case <-p.done:
		return p.err
	case <-timeout:
		p.log.Warn("timed out disconnecting from " + p.name)
		return nil
	}
}

// A task is a part that is ready at once.
type task func(ctx context.Context) error

func (run task) Run(ctx context.Context) error { return run(ctx) }

func (task) Ready() <-chan struct{} { return closed }

// closed is the Ready of what is ready.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
