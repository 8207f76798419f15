package main

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// beKcmd makes the test program run as kcmd, for tests of a whole process: signals,
// exit statuses, sockets that outlive it.
const beKcmd = "TEST_BE_KCMD=1"

func TestMain(m *testing.M) {
	if os.Getenv("TEST_BE_KCMD") != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// A proc is a kcmd process.
type proc struct {
	*exec.Cmd
	t      *testing.T
	stderr output
}

// An output can be read while the process writes.
type output struct {
	mu   sync.Mutex
	text []byte
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.text = append(o.text, b...)
	return len(b), nil
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return string(o.text)
}

// kcmd prepares a process whose environment is HOME and env.
func kcmd(t *testing.T, args []string, env ...string) *proc {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p := &proc{Cmd: exec.Command(exe, args...), t: t}
	p.Env = append([]string{beKcmd, "HOME=" + t.TempDir(), "GORACE=atexit_sleep_ms=0"}, env...)
	p.Stderr = &p.stderr
	return p
}

// startServing starts the process and waits until it answers at socket.
func (p *proc) startServing(socket string) {
	p.t.Helper()
	if err := p.Start(); err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { p.Process.Kill() })
	eventually(p.t, "a socket", func() bool { return answers(socket) })
	// The socket listens before the store is open, and is served after that.
	c, err := client.Dial(p.t.Context(), socket)
	if err != nil {
		p.t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.GetDefaultCache(); err != nil && !errors.As(err, new(kcm.Code)) {
		p.t.Fatalf("%v\n%s", err, p.stderr.String())
	}
}

// fails runs the process, which must exit with a status after one line on standard
// error, and returns the line.
func (p *proc) fails(status int) string {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { p.Process.Kill() })
	defer stop()
	_ = p.Run()
	if code := p.ProcessState.ExitCode(); code != status {
		p.t.Errorf("exit status %d, want %d", code, status)
	}
	line, rest, _ := strings.Cut(p.stderr.String(), "\n")
	if line == "" || rest != "" {
		p.t.Errorf("want one line on stderr, got %q", p.stderr.String())
	}
	return line
}

// ends sends the process a signal and waits for its end.
func (p *proc) ends(sig syscall.Signal) *os.ProcessState {
	p.t.Helper()
	if err := p.Process.Signal(sig); err != nil {
		p.t.Fatal(err)
	}
	_ = p.Wait()
	return p.ProcessState
}

func pid(p *proc) string { return strconv.Itoa(p.Process.Pid) }

// patience is how long a test waits for an event. Only a failing test gets there.
const patience = time.Minute

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("timed out waiting for %s", what)
		}
	}
}

// shortDir returns a directory with a short path: the path of a socket in t.TempDir
// may be too long.
func shortDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kcmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func writeFile(t *testing.T, path, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
