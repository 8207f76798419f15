package main

import (
	"log/slog"
	"os"
	"runtime"
	"runtime/debug"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
)

// ownFiles is how many descriptors the daemon needs besides connections, for the
// store, D-Bus and itself.
const ownFiles = 64

// limits returns the budgets as configured. The limit of open files scales those
// of connections down.
func limits(c *config, log *slog.Logger) budget.Limits {
	l := budget.Default()
	limitStore(&l, c)
	limitConnections(&l.Connections, c, log)
	return l
}

// limitStore sets the limits of stored collections, and of those in memory, which has
// room for a quarter more than the largest one.
func limitStore(l *budget.Limits, c *config) {
	l.Stored.Account, l.Collections.Account = c.limits.Bytes, c.limits.Bytes
	switch {
	case !c.autoBytes:
		l.Stored.Whole = c.limits.Whole
	case c.store == memoryStore:
		l.Stored.Whole = 256 << 20
	}
	if l.Collections.Account == 0 {
		l.Collections.Whole = 0
	} else {
		l.Collections.Whole = max(l.Collections.Whole, l.Collections.Account/4*5)
	}
}

func limitConnections(b *budget.Bounds, c *config, log *slog.Logger) {
	b.Whole = max(int64(c.maxConnections), budget.LeastWhole)
	b.Account = min(int64(c.maxUIDConnections), b.Whole)
	b.Reserve = min(b.Reserve, b.Whole/8)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		log.Warn("cannot get the limit of open files", "err", err)
		return
	}
	if fit := b.Fit(int64(min(files.Cur, 1<<30)) - ownFiles); fit != *b {
		log.Warn("the limit of open files is too small for max_connections, so that fewer are allowed; LimitNOFILE= in the unit raises it",
			"files", files.Cur, "needed", b.Whole+ownFiles, "max_connections", fit.Whole, "max_uid_connections", fit.Account)
		*b = fit
	}
}

// limitHeap has the garbage collector keep to the memory that the budgets allow, in
// place of twice what is live. GOMEMLIMIT takes precedence.
func limitHeap(c *config, l budget.Limits) {
	stored := l.Collections.Whole
	if c.store == memoryStore && stored > 0 {
		stored = l.Stored.Whole * 2 // in the store, and as collections
	}
	if os.Getenv("GOMEMLIMIT") == "" && stored > 0 {
		debug.SetMemoryLimit(ownMemory + l.Memory.Whole + stored)
	}
}

// ownMemory is how many bytes the daemon needs without clients, with its program.
const ownMemory = 32 << 20

// spareThreads is how many threads run Go code besides one on each processor. Go
// notices the next request when one of them has nothing to do; the kernel then lets it
// run before threads that have been at work for long. Without spare threads a user
// would wait for the large requests of others.
const spareThreads = 14

// useThreads adds the spare threads. GOMAXPROCS takes precedence.
func useThreads() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + spareThreads)
	}
}
