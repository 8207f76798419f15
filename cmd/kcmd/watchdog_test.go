package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/kcmserver"
)

// A gate lets through, or makes wait, until the end of the test at the latest.
type gate struct {
	mu     sync.Mutex
	closed chan struct{} // nil: open
}

func (g *gate) pass() {
	g.mu.Lock()
	closed := g.closed
	g.mu.Unlock()
	if closed != nil {
		<-closed
	}
}

func (g *gate) close() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.closed = make(chan struct{})
}

func (g *gate) open() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.closed != nil {
		close(g.closed)
		g.closed = nil
	}
}

// A stuckBackend does not answer while its gate is closed.
type stuckBackend struct {
	ccstore.Backend
	gate *gate
}

func (b stuckBackend) Due(ctx context.Context, kind ccstore.DeadlineKind, after, until int64, limit int) ([]ccstore.Deadline, error) {
	b.gate.pass()
	return b.Backend.Due(ctx, kind, after, until, limit)
}

// A stuckListener accepts nothing while its gate is closed, but the connection that it
// waits for already.
type stuckListener struct {
	net.Listener
	gate *gate
}

func (l stuckListener) Accept() (net.Conn, error) {
	l.gate.pass()
	return l.Listener.Accept()
}

// A watching runs a watchdog over a server, whose parts can get stuck.
type watching struct {
	t               *testing.T
	backend, accept gate
	reports         atomic.Int64
	log             output
}

func startWatching(t *testing.T) *watching {
	t.Helper()
	dir := shortDir(t)
	w := &watching{t: t}
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	go func() {
		buf := make([]byte, 1000)
		for {
			n, err := manager.Read(buf)
			if err != nil {
				return
			}
			if string(buf[:n]) == "WATCHDOG=1" {
				w.reports.Add(1)
			}
		}
	}()
	t.Setenv("NOTIFY_SOCKET", dir+"/notify")
	t.Setenv("WATCHDOG_USEC", "4000000")

	l, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	log := newLogger(&w.log, slog.LevelInfo)
	store := ccstore.Open(stuckBackend{memory.New(), &w.backend}, ccstore.Options{})
	d := &daemon{
		config: defaultConfig(false), store: store, log: log,
		sockets: []*socket{{Listener: stuckListener{l, &w.accept}, namespace: ccstore.DefaultNamespace}},
	}
	d.server = kcmserver.New(store, kcmserver.Options{})
	var tasks sync.WaitGroup
	ctx, cancel := context.WithCancel(context.Background())
	tasks.Go(func() { _ = d.server.Serve(d.sockets[0], ccstore.DefaultNamespace) })
	tasks.Go(func() {
		if err := d.newWatchdog().run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() {
		cancel()
		w.backend.open()
		w.accept.open()
		_ = d.server.Shutdown(context.Background())
		tasks.Wait()
		store.Close()
	})
	return w
}

// reported waits until the watchdog has made so many more reports.
func (w *watching) reported(n int64) {
	w.t.Helper()
	want := w.reports.Load() + n
	eventually(w.t, "a report to systemd", func() bool { return w.reports.Load() >= want })
}

// silent waits until the watchdog has complained n times, and checks that it reported
// nothing from the first time on.
func (w *watching) silent(n int, why string) {
	w.t.Helper()
	const complaint = "does not answer itself"
	before := strings.Count(w.log.String(), complaint)
	eventually(w.t, "a complaint", func() bool { return strings.Count(w.log.String(), complaint) > before })
	reports := w.reports.Load()
	eventually(w.t, "more complaints", func() bool { return strings.Count(w.log.String(), complaint) >= before+n })
	if got := w.reports.Load(); got != reports {
		w.t.Errorf("%d reports meanwhile", got-reports)
	}
	if !strings.Contains(w.log.String(), why) {
		w.t.Errorf("the log has no %q:\n%s", why, w.log.String())
	}
}

// TestWatchdog has a socket and the backend get stuck, and come back.
func TestWatchdog(t *testing.T) {
	w := startWatching(t)
	w.reported(2)
	w.accept.close()
	w.silent(3, "socket /")
	w.accept.open()
	w.reported(2)
	w.backend.close()
	w.silent(3, "no answer in time")
	w.backend.open()
	w.reported(2)
}

// TestWatchdogAmongFloods has a user take all that a user can get, who is the daemon's
// own: systemd gets its reports all the same.
func TestWatchdogAmongFloods(t *testing.T) {
	const limit = 8 * time.Second
	r := startReloaded(t, "max_connections = 40\nmax_uid_connections = 40", nil, fmt.Sprintf("WATCHDOG_USEC=%d", limit.Microseconds()))
	for range 60 {
		c, err := net.Dial("unix", r.socket)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		go func() {
			request := []byte{0, 0, 0, 4, 2, 0, 0, 20} // GET_DEFAULT_CACHE
			for {
				if _, err := c.Write(request); err != nil {
					return
				}
			}
		}()
	}
	for range 3 {
		began := time.Now()
		if got := r.told(); got != "WATCHDOG=1" {
			t.Errorf("told systemd %q", got)
		}
		if took := time.Since(began); took > limit {
			t.Errorf("a report after %v, when systemd has killed it:\n%s", took, r.log())
		}
	}
	r.ends(syscall.SIGKILL)
}

// TestWatchdogWithoutSocket has somebody remove the socket of systemd, which no restart of
// the daemon brings back.
func TestWatchdogWithoutSocket(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	path := filepath.Join(shortDir(t), "missing")
	if err := (watched{path, false}).try(ctx); err != nil {
		t.Error(err)
	}
	if err := (watched{path, true}).try(ctx); err == nil {
		t.Error("a socket of its own is missing, and it answers")
	}
}
