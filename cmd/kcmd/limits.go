package main

import (
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
)

// ownFiles is how many descriptors the daemon needs besides connections, for the
// store, D-Bus and itself.
const ownFiles = 192

// limits returns the budgets as configured. The limit of open files scales those
// of connections down.
func limits(c *config, log *slog.Logger) budget.Limits {
	l := budget.Default()
	limitStore(&l, c)
	limitConnections(&l.Connections, c, log)
	l.Helpers = helperLimits(c)
	limitMemory(&l, c, cgroupMemory("/proc/self/cgroup", "/sys/fs/cgroup"), log)
	return l
}

// helperLimits returns the limits of requests to KDCs.
func helperLimits(c *config) budget.Bounds {
	l := budget.Default().Helpers
	l.Whole = min(max(l.Whole, int64(2*c.renewParallel)), maxParallel)
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

// limitMemory scales the budget of memory down to the limit of the cgroup, in bytes,
// and has the garbage collector keep to what the budgets allow, in place of twice what
// is live. GOMEMLIMIT takes precedence.
func limitMemory(l *budget.Limits, c *config, most int64, log *slog.Logger) {
	heap := heapOf(l, c.store)
	if heap == 0 {
		return
	}
	if need := memoryMax(heap); most < need {
		log.Warn("the memory limit of the service is too small for its budgets, so that fewer large requests are served at once; MemoryMax= in the unit raises it",
			"bytes", most, "needed", need)
		l.Memory = l.Memory.Fit(max(leastMemory, l.Memory.Whole-(need-most)))
		heap = min(heapOf(l, c.store), most/5*4)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(heap)
	}
}

// leastMemory is the least budget of memory, in bytes: an account has half of it, for
// one large request.
const leastMemory = 24 << 20

// heapOf returns the bytes that the heap needs for the budgets, 0 for no limit.
func heapOf(l *budget.Limits, store string) int64 {
	stored := l.Collections.Whole
	if store == memoryStore && stored > 0 {
		stored = l.Stored.Whole * 2 // in the store, and as collections
	}
	if stored == 0 {
		return 0
	}
	return ownMemory + l.Memory.Whole + stored + garbage
}

// memoryMax returns the least MemoryMax= for a heap of that size, in bytes. Besides the
// heap it has the stacks of threads, the memory of SQLite, and garbage that comes faster
// than it is collected: under attack 50 MiB. At the limit the kernel kills.
func memoryMax(heap int64) int64 { return 2 * heap }

// cgroupMemory returns the limit of memory of our cgroup and those above it, in bytes.
// The files are of version 2 (cgroups(7)); without them there is no limit.
func cgroupMemory(self, root string) int64 {
	most := int64(math.MaxInt64)
	b, err := os.ReadFile(self)
	path, ok := strings.CutPrefix(strings.TrimSpace(string(b)), "0::")
	if err != nil || !ok {
		return most
	}
	for ; path != "/" && path != "."; path = filepath.Dir(path) {
		b, err := os.ReadFile(filepath.Join(root, path, "memory.max"))
		if err != nil {
			continue // a namespace may hide those above
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64); err == nil { // not "max"
			most = min(most, n)
		}
	}
	return most
}

// Bytes of memory: what the daemon needs without clients, with its program, and room
// for garbage. With little room the collector works all the time while the budgets are
// used up, and each of its runs stops all threads until the last one has a processor.
const (
	ownMemory = 32 << 20
	garbage   = 32 << 20
)
