package main

import (
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/lifecycle"
)

// An activator keeps a socket, and starts a kcmd for it whenever a client waits there, as
// systemd does with a socket unit.
type activator struct {
	t      *testing.T
	socket *os.File
	path   string
	args   []string
	starts atomic.Int64
	failed atomic.Int64 // daemons that did not exit with 0
	log    output
	closed chan struct{}
	tasks  sync.WaitGroup

	mu      sync.Mutex
	process *os.Process
}

func startActivator(t *testing.T, args ...string) *activator {
	t.Helper()
	dir := shortDir(t)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: dir + "/s", Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	file, err := l.File()
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	a := &activator{t: t, socket: file, path: dir + "/s", closed: make(chan struct{})}
	a.args = append([]string{"--bus", "none", "--store", "sqlite:" + dir + "/k.db", "--config", writeFile(t, dir+"/c.toml", "")}, args...)
	a.tasks.Go(a.run)
	t.Cleanup(func() {
		close(a.closed)
		a.mu.Lock()
		if a.process != nil {
			_ = a.process.Signal(syscall.SIGTERM)
		}
		a.mu.Unlock()
		a.tasks.Wait()
		a.socket.Close()
	})
	return a
}

func (a *activator) run() {
	for {
		// The time out lets the test end.
		ready, err := unix.Poll([]unix.PollFd{{Fd: int32(a.socket.Fd()), Events: unix.POLLIN}}, 50)
		select {
		case <-a.closed:
			return
		default:
		}
		if err != nil && !errors.Is(err, unix.EINTR) {
			a.t.Error(err)
			return
		}
		if ready == 1 {
			a.serveOnce()
		}
	}
}

func (a *activator) serveOnce() {
	p := kcmd(a.t, a.args, "LISTEN_FDS=1", "LISTEN_FDNAMES=kcm")
	p.ExtraFiles = []*os.File{a.socket}
	p.Args = append([]string{"sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, p.Path}, a.args...)
	p.Path, p.Stderr = "/bin/sh", &a.log
	if err := p.Start(); err != nil {
		a.t.Error(err)
		return
	}
	a.mu.Lock()
	a.process = p.Process
	a.mu.Unlock()
	a.starts.Add(1)
	if err := p.Wait(); err != nil {
		a.failed.Add(1)
	}
	a.mu.Lock()
	a.process = nil
	a.mu.Unlock()
}

// A reconnecting is a client that connects again when it can send no request, once, as
// libkrb5 does. A request that it has sent must be answered.
type reconnecting struct {
	t    *testing.T
	path string
	conn *client.Client
}

func (c *reconnecting) do(request func(*client.Client) error) (err error) {
	if c.conn == nil {
		if c.conn, err = client.Dial(c.t.Context(), c.path); err != nil {
			return err
		}
	}
	err = request(c.conn)
	if !errors.Is(err, unix.EPIPE) {
		return err
	}
	c.conn.Close()
	if c.conn, err = client.Dial(c.t.Context(), c.path); err != nil {
		return err
	}
	return request(c.conn)
}

// TestIdle has eight clients work and pause, for about as long as the daemon waits until it
// ends. None of their requests fails.
func TestIdle(t *testing.T) {
	if _, err := exec.LookPath("sh"); err != nil {
		t.Skip("sh is not installed")
	}
	const idle = 100 * time.Millisecond
	a := startActivator(t, "--idle-timeout", idle.String())
	work := func(n int) error {
		c := &reconnecting{t: t, path: a.path}
		defer func() {
			if c.conn != nil {
				c.conn.Close()
			}
		}()
		name := fmt.Sprintf("%d:%d", os.Getuid(), n)
		err := c.do(func(c *client.Client) error {
			return c.Initialize(name, ccache.Principal{Realm: "EXAMPLE.COM", Components: []string{"alice"}})
		})
		for range 3 {
			err = errors.Join(err, c.do(func(c *client.Client) error { _, err := c.GetPrincipal(name); return err }))
		}
		return err
	}
	var clients sync.WaitGroup
	const rounds = 12
	for round := range rounds {
		for n := range 8 {
			clients.Go(func() {
				if err := work(n); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
			})
		}
		clients.Wait()
		// Around the end of the daemon; in the last but one round after it.
		if round == rounds-2 {
			before := a.starts.Load()
			eventually(t, "the end of an idle daemon", func() bool {
				return strings.Count(a.log.String(), `msg="idle, ending`) >= int(before)
			})
			continue
		}
		time.Sleep(idle + time.Duration(rand.Int64N(int64(idle/2))) - idle/10)
	}
	if a.starts.Load() < 2 || a.failed.Load() > 0 {
		t.Errorf("%d daemons, of which %d failed:\n%s", a.starts.Load(), a.failed.Load(), a.log.String())
	}
	t.Logf("%d daemons", a.starts.Load())
}

// TestIdleConnection keeps a connection open, for which the daemon stays.
func TestIdleConnection(t *testing.T) {
	a := startActivator(t, "--idle-timeout", "100ms")
	c, err := client.Dial(t.Context(), a.path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for range 5 {
		if _, err := c.GetDefaultCache(); err != nil && !errors.As(err, new(kcm.Code)) {
			t.Fatal(err)
		}
		time.Sleep(150 * time.Millisecond)
	}
	if strings.Contains(a.log.String(), "idle, ending") {
		t.Error("it ended in spite of a connection")
	}
	c.Close()
	eventually(t, "the end", func() bool { return strings.Contains(a.log.String(), "idle, ending") })
}

// TestIdleRefused does not start a daemon that nothing would start again, or that would
// lose tickets.
func TestIdleRefused(t *testing.T) {
	dir := shortDir(t)
	file := writeFile(t, filepath.Join(dir, "c.toml"), `idle_timeout = "1h"`)
	got := kcmd(t, []string{"--config", file, "--socket", dir + "/s", "--bus", "none", "--store", "sqlite:" + dir + "/k.db"}).fails(exitConfig)
	if want := "kcmd: cannot read the configuration: idle_timeout is not allowed without a socket of systemd"; !strings.HasPrefix(got, want) {
		t.Errorf("got %s", got)
	}
	p := kcmd(t, []string{"--config", file, "--bus", "none", "--store", "memory:"})
	p.passSocket(dir+"/s", "kcm")
	_ = p.Run()
	if code := p.ProcessState.ExitCode(); code != exitConfig || !strings.Contains(p.stderr.String(), "idle_timeout is not allowed with the store memory:") {
		t.Errorf("%d, %s", code, p.stderr.String())
	}
}

// TestIdleHasWork has tickets and settings for which the daemon must run, and others.
func TestIdleHasWork(t *testing.T) {
	now := uint32(time.Now().Unix())
	for _, tt := range []struct {
		name             string
		lasts, renewable time.Duration
		renew            string
		keep             []keepConfig
		logout, want     bool
	}{
		{"a ticket", time.Hour, 0, renewAll, nil, false, false},
		{"a renewable ticket", time.Hour, 2 * time.Hour, renewAll, nil, false, true},
		{"one of somebody who may be away", time.Hour, 2 * time.Hour, renewActive, nil, false, true},
		{"one that can last no longer", time.Hour, time.Hour, renewAll, nil, false, false},
		{"no renewal", time.Hour, 2 * time.Hour, renewNone, nil, false, false},
		{"a cache to keep", time.Hour, 0, renewNone, make([]keepConfig, 1), false, true},
		{"logout", time.Hour, 0, renewNone, nil, true, true},
	} {
		store := storetest.New(t, memory.New())
		tgt := storetest.Ticket("alice@EXAMPLE.COM", "krbtgt/EXAMPLE.COM@EXAMPLE.COM")
		tgt.AuthTime, tgt.StartTime, tgt.EndTime = now, now, now+uint32(tt.lasts.Seconds())
		tgt.Flags, tgt.RenewTill = 0, 0
		if tt.renewable > 0 {
			tgt.Flags, tgt.RenewTill = ccache.FlagRenewable, now+uint32(tt.renewable.Seconds())
		}
		err := store.Update(t.Context(), ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 7}, func(tx *ccstore.Tx) error {
			tx.Replace("7", tgt.Client, 0, []*ccache.Credential{tgt})
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		d := &daemon{store: store, desk: new(lifecycle.Desk), log: slog.New(slog.DiscardHandler)}
		d.present.Store(&config{renew: tt.renew, keep: tt.keep, destroyAtLogout: tt.logout})
		if got := d.newIdler().hasWork(t.Context()); got != tt.want {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}
