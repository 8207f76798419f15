package main

import (
	"log/slog"
	"os"
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
	l.Stored.Account, l.Collections.Account = c.limits.Bytes, c.limits.Bytes
	switch {
	case !c.autoBytes:
		l.Stored.Whole = c.limits.Whole
	case c.store == memoryStore:
		l.Stored.Whole = 256 << 20
	}
	b := &l.Connections
	b.Whole = max(int64(c.maxConnections), budget.LeastWhole)
	b.Account = min(int64(c.maxUIDConnections), b.Whole)
	b.Reserve = min(b.Reserve, b.Whole/8)
	var files unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &files); err != nil {
		log.Warn("cannot get the limit of open files", "err", err)
		return l
	}
	if fit := b.Fit(int64(min(files.Cur, 1<<30)) - ownFiles); fit != *b {
		log.Warn("the limit of open files is too small for max_connections, so that fewer are allowed; LimitNOFILE= in the unit raises it",
			"files", files.Cur, "needed", b.Whole+ownFiles, "max_connections", fit.Whole, "max_uid_connections", fit.Account)
		*b = fit
	}
	return l
}

// limitHeap has the garbage collector keep to the memory that the budgets allow, in
// place of twice what is live. GOMEMLIMIT takes precedence.
func limitHeap(l budget.Limits) {
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(ownMemory + l.Memory.Whole + l.Collections.Whole)
	}
}

// ownMemory is how many bytes the daemon needs without clients, with its program.
const ownMemory = 32 << 20
