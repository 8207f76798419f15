package main

import (
	"context"
	"errors"
	"io"
	"os"
	"os/signal"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// exitAborted is the exit status after SIGABRT, as that of any Go program.
const exitAborted = 2

// abortPatience limits the time for the requests in progress after SIGABRT. The units have
// TimeoutAbortSec=, for a process that cannot even count it.
const abortPatience = 5 * time.Second

// maxTraces bounds the traces of goroutines, in bytes.
const maxTraces = 1 << 20

// untilAbort returns a context that is done when ctx is, or at SIGABRT, by which the
// watchdog of systemd ends a daemon that does not report. That one may have stood still
// only, or one part of it: clients in the middle of a request still get what answers there
// are. Before that it writes what each goroutine does, and it ends a process that takes
// longer than patience. aborted reports whether the signal came, after the traces.
func untilAbort(ctx context.Context, traces io.Writer, patience time.Duration) (_ context.Context, aborted func() bool) {
	ctx, cancel := context.WithCancel(ctx)
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, unix.SIGABRT)
	var came atomic.Bool
	written := make(chan struct{})
	go func() {
		<-signals
		time.AfterFunc(patience, func() { os.Exit(exitAborted) })
		b := make([]byte, maxTraces)
		b = b[:runtime.Stack(b, true)]
		came.Store(true)
		cancel()
		_, _ = traces.Write(b) // to a journal that may stand still as well
		close(written)
	}()
	return ctx, func() bool {
		if came.Load() {
			<-written
			return true
		}
		return false
	}
}

var errAborted = failure{errors.New("ended by SIGABRT, as from the watchdog of systemd"), exitAborted}
