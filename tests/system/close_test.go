package system

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// A daemon that closes a connection must first answer the requests that it has
// received: libkrb5 connects again only if it cannot send a request.

// A crowd is a process with many cache handles in many threads, all in use.
type crowd struct {
	cmd *exec.Cmd
	in  *os.File
	out bytes.Buffer
}

const crowdThreads = 8

// newCrowd starts a crowd on the default cache of the world, with a number of calls in
// each thread; 0: until end.
func newCrowd(t *testing.T, w *world, handles, calls int) *crowd {
	t.Helper()
	program, err := libkrb5Client()
	if err != nil {
		t.Fatal(err)
	}
	theirs, in, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer theirs.Close()
	c := &crowd{cmd: exec.Command(program, "handles", strconv.Itoa(handles), strconv.Itoa(crowdThreads), strconv.Itoa(calls)), in: in}
	c.cmd.Env, c.cmd.Stdin = w.env(), theirs
	c.cmd.Stdout, c.cmd.Stderr = &c.out, &c.out
	t.Cleanup(func() { in.Close() })
	if err := lab.Start(c.cmd); err != nil {
		t.Fatal(err)
	}
	return c
}

// end waits for the end of the crowd, none of whose calls may have failed.
func (c *crowd) end(t *testing.T) {
	t.Helper()
	c.in.Close()
	err := c.cmd.Wait()
	said := strings.TrimSpace(c.out.String())
	if err != nil || !strings.HasSuffix(said, " calls, 0 failures") || strings.HasPrefix(said, "0 calls") {
		t.Errorf("%v\n%s", err, said)
	}
	t.Log(said)
}

func needCompiler(t *testing.T) {
	t.Helper()
	lab.NeedKerberos(t)
	lab.Need(t, "gcc")
}

// TestMoreHandlesThanConnections has one user use more handles than it may have
// connections: the idle ones are closed, and no call fails.
func TestMoreHandlesThanConnections(t *testing.T) {
	needCompiler(t)
	w := newStoppedWorld(t, "handles")
	w.daemon.Verbose = false
	if err := w.daemon.Start("--max-uid-connections", "20"); err != nil {
		t.Fatal(err)
	}
	if o := w.tell("KCM:", "kinit", "alice"); o.Err != nil {
		t.Fatalf("kinit: %v\n%s", o.Err, o.Stderr)
	}
	newCrowd(t, w, 80, 500).end(t)
}

// TestRestartsUnderLoad restarts the daemon while a crowd uses it. The test keeps the
// socket open, as systemd does: no call fails.
func TestRestartsUnderLoad(t *testing.T) {
	needCompiler(t)
	w := newStoppedWorld(t, "restarts")
	socket := listeningSocket(t, w)
	daemon := startPassed(t, w, socket, 0)
	if o := w.tell("KCM:", "kinit", "alice"); o.Err != nil {
		t.Fatalf("kinit: %v\n%s", o.Err, o.Stderr)
	}
	c := newCrowd(t, w, 4*crowdThreads, 0)
	for range 10 {
		// Once the daemon answers, the crowd is at work again.
		for range 20 {
			served(t, w.daemon.Socket)
		}
		endPassed(t, daemon)
		daemon = startPassed(t, w, socket, 0)
	}
	served(t, w.daemon.Socket)
	c.end(t)
	endPassed(t, daemon)
}

// startPassed starts the daemon in new namespaces (CLONE_NEW...), and passes it a
// listening socket.
func startPassed(t *testing.T, w *world, socket *os.File, namespaces uintptr) *exec.Cmd {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(w.daemon.Database), 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := w.daemon.Command("--store", "sqlite:"+w.daemon.Database, "--bus", "none")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: namespaces}
	// LISTEN_PID must be the daemon's, see sd_listen_fds(3).
	cmd.Args = append([]string{"sh", "-c", `LISTEN_PID=$$ exec "$0" "$@"`}, cmd.Args...)
	cmd.Path = "/bin/sh"
	cmd.Env = append(cmd.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES=kcm")
	cmd.ExtraFiles = []*os.File{socket}
	log, err := os.OpenFile(w.lab.Path("passed.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// endPassed ends the daemon with SIGTERM.
func endPassed(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("the daemon: %v", err)
	}
}

// served waits for an answer over a new connection.
func served(t *testing.T, socket string) {
	t.Helper()
	c := mustDial(t, socket)
	defer c.Close()
	mustCall(t, c, opGetPrincipal, name(ownName()))
}

// listeningSocket returns a socket at the daemon's path, for startPassed.
func listeningSocket(t *testing.T, w *world) *os.File {
	t.Helper()
	l, err := net.Listen("unix", w.daemon.Socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // which removes the path
	socket, err := l.(*net.UnixListener).File()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { socket.Close() })
	return socket
}

// TestOtherPIDNamespace has the daemon in a PID namespace in which its clients
// have no pid, as in another container: their uid decides.
func TestOtherPIDNamespace(t *testing.T) {
	lab.NeedKerberos(t)
	if os.Getuid() != 0 {
		t.Skip("only root can make a PID namespace")
	}
	w := newStoppedWorld(t, "pidns")
	socket := listeningSocket(t, w)
	daemon := startPassed(t, w, socket, syscall.CLONE_NEWPID)
	if o := w.tell("KCM:", "kinit", "alice"); o.Err != nil {
		t.Errorf("kinit: %v\n%s", o.Err, o.Stderr)
	}
	if o := w.tell("KCM:", "klist"); !strings.Contains(o.Stdout, "alice@KCMD.TEST") {
		t.Errorf("klist: %v\n%s%s", o.Err, o.Stdout, o.Stderr)
	}
	endPassed(t, daemon)
}
