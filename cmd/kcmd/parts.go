package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"
)

// A part is a task of the daemon that runs beside others.
type part interface {
	// Run works until ctx is done. It then ends in order and returns nil, or the
	// reason why it could not work or end.
	Run(ctx context.Context) error

	// Ready returns a channel that is closed when the part works.
	Ready() <-chan struct{}
}

// A row is a part and how the daemon starts and ends it.
type row struct {
	name  string
	part  part
	vital bool          // the daemon ends when the part ends
	start time.Duration // longest wait for Ready before the next part starts
	stop  time.Duration // longest wait for the end of Run; 0: no limit
}

// runParts starts the parts in order. It ends them in reverse when ctx is done or a
// vital part has ended, and returns the errors of the vital parts.
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

// A running is a started part.
type running struct {
	row
	log    *slog.Logger
	cancel context.CancelFunc
	done   chan struct{} // closed when Run has returned
	err    error         // of a vital part; read after done
}

// start runs a part, and calls ended when a vital part ends.
func start(r row, ended func(), log *slog.Logger) *running {
	// Not the context of the daemon: parts end one after the other.
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
			log.Error(r.name+" failed; continuing without it", "err", err)
		}
	}()
	return p
}

// waitReady waits until the part is ready, at most for start.
func (p *running) waitReady(ctx context.Context) {
	if p.start == 0 {
		return
	}
	select {
	case <-p.part.Ready():
	case <-p.done:
	case <-ctx.Done():
	case <-time.After(p.start):
		p.log.Warn(p.name + " is not ready yet; continuing without it")
	}
}

// end ends the part and returns its error.
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

// A task is a part that is always ready.
type task func(ctx context.Context) error

func (run task) Run(ctx context.Context) error { return run(ctx) }

func (task) Ready() <-chan struct{} { return closed }

// closed is a closed channel.
var closed = func() <-chan struct{} {
	c := make(chan struct{})
	close(c)
	return c
}()
