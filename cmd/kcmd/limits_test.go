package main

import (
	"bytes"
	"fmt"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
)

// The manual page prints the table of limits.
func TestLimitsInManual(t *testing.T) {
	b, err := os.ReadFile("../../data/man/kcmd.8")
	if err != nil {
		t.Fatal(err)
	}
	man := strings.Join(strings.Fields(string(b)), " ")
	for _, r := range budget.Default().Table() {
		row := fmt.Sprintf(".It %s Ta %d Ta %d Ta %d ", r.Name, r.Bounds.Account, r.Bounds.Whole, r.Bounds.Reserve)
		if !strings.Contains(man, row) {
			t.Errorf("the manual page has no row %q", row)
		}
		for part := range strings.SplitSeq(r.Meaning, ". ") {
			if !strings.Contains(man, strings.TrimSuffix(part, ".")) {
				t.Errorf("the manual page does not say of %s: %q", r.Name, part)
			}
		}
	}
}

// A limit of open files that is too small scales the connections down.
func TestLimitsOfFiles(t *testing.T) {
	var before unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &before); err != nil {
			t.Error(err)
		}
	})
	if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: ownFiles + 400, Max: before.Max}); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	c := &config{maxConnections: 4096, maxUIDConnections: 256}
	if got, want := limits(c, log).Connections, (budget.Bounds{Account: 200, Whole: 400, Reserve: 50}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if !strings.Contains(out.String(), "LimitNOFILE= ") || !strings.Contains(out.String(), "max_connections=400 ") {
		t.Errorf("the log does not say so: %s", &out)
	}
	out.Reset()
	c.maxConnections = 100
	if got := limits(c, log).Connections; got.Whole != 100 || out.Len() > 0 {
		t.Errorf("%+v, logged %q", got, &out)
	}
}

// The memory has room for the largest collection that the configuration allows.
func TestLimitsOfStore(t *testing.T) {
	for _, tt := range []struct {
		c                   config
		stored, collections int64
	}{
		{config{store: "sqlite:/x", autoBytes: true, limits: ccstore.Limits{Bytes: 64 << 20}}, 4 << 30, 80 << 20},
		{config{store: memoryStore, autoBytes: true, limits: ccstore.Limits{Bytes: 64 << 20}}, 256 << 20, 80 << 20},
		{config{store: memoryStore, limits: ccstore.Limits{Bytes: 1 << 30, Whole: 3 << 30}}, 3 << 30, 1280 << 20},
		{config{store: "sqlite:/x"}, 0, 0},
	} {
		l := budget.Default()
		limitStore(&l, &tt.c)
		if l.Stored.Whole != tt.stored || l.Collections.Whole != tt.collections {
			t.Errorf("%+v: %d stored and %d in memory, want %d and %d", tt.c.limits, l.Stored.Whole, l.Collections.Whole, tt.stored, tt.collections)
		}
	}
}

// D-Bus keeps to the same limits: with the defaults it would end subscriptions to
// collections that the configuration allows.
func TestLimitsOfBus(t *testing.T) {
	d := &daemon{config: &config{bus: "system"}, budgets: limits(&config{store: "sqlite:/x"}, slog.New(slog.DiscardHandler))}
	if got := d.newBus().Budgets; got != d.budgets {
		t.Errorf("%+v, want %+v", got, d.budgets)
	}
}

// tasksMax is TasksMax=: far more threads than all requests need that wait for the
// disk at once, with the spare ones and one for each of some hundred processors.
const tasksMax = 512

// The units limit the daemon as the table needs it.
func TestLimitsInUnits(t *testing.T) {
	l := limits(&config{maxConnections: 4096, maxUIDConnections: 256, limits: storeDefaults(t)}, slog.New(slog.DiscardHandler))
	heap := heapOf(&l, "sqlite:")
	for _, unit := range []string{"system", "user"} {
		b, err := os.ReadFile("../../data/systemd/" + unit + "/kcmd.service.in")
		if err != nil {
			t.Fatal(err)
		}
		for _, line := range []string{
			fmt.Sprintf("\nMemoryMax=%dM\n", memoryMax(heap)>>20),
			fmt.Sprintf("\nTasksMax=%d\n", tasksMax),
			fmt.Sprintf("\nLimitNOFILE=%d\n", l.Connections.Whole+ownFiles),
		} {
			if !strings.Contains(string(b), line) {
				t.Errorf("the unit of the %s has no line %q", unit, line)
			}
		}
	}
}

// A memory limit of the service that is too small scales the budget of memory down.
func TestLimitsOfMemory(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	t.Cleanup(func() { debug.SetMemoryLimit(before) })
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "self"), "0::/a/b\n")
	for _, path := range []string{"a", "a/b"} {
		if err := os.MkdirAll(filepath.Join(dir, path), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	writeFile(t, filepath.Join(dir, "a", "memory.max"), "335544320\n")
	writeFile(t, filepath.Join(dir, "a", "b", "memory.max"), "max\n")
	most := cgroupMemory(filepath.Join(dir, "self"), dir)
	if most != 320<<20 {
		t.Fatalf("the limit is %d bytes, want 320 MiB", most)
	}
	var out bytes.Buffer
	log := slog.New(slog.NewTextHandler(&out, nil))
	c := &config{limits: storeDefaults(t)}
	l := budget.Default()
	limitStore(&l, c)
	whole := l.Memory.Whole
	limitMemory(&l, c, most, log)
	if l.Memory.Whole >= whole || !strings.Contains(out.String(), "MemoryMax= ") {
		t.Errorf("the budget is %+v, logged %q", l.Memory, &out)
	}
	if got := debug.SetMemoryLimit(-1); got > most {
		t.Errorf("the heap may have %d bytes of %d", got, most)
	}
	out.Reset()
	l = budget.Default()
	if limitMemory(&l, c, math.MaxInt64, log); l.Memory.Whole != whole || out.Len() > 0 {
		t.Errorf("without a limit: %+v, logged %q", l.Memory, &out)
	}
}

// storeDefaults returns the limits of the store that kcmd has without configuration.
func storeDefaults(t *testing.T) ccstore.Limits {
	t.Helper()
	_, file := clean(t)
	c, err := read(t, "--config", file)
	if err != nil {
		t.Fatal(err)
	}
	return c.limits
}
