package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
)

func answers(socket string) bool {
	c, err := net.Dial("unix", socket)
	if err != nil {
		return false
	}
	c.Close()
	return true
}

// staleSocket makes a socket at path on which no process listens.
func staleSocket(t *testing.T, path string) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	l.SetUnlinkOnClose(false)
	l.Close()
}

// names returns the names in a directory.
func names(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var s []string
	for _, e := range entries {
		s = append(s, e.Name())
	}
	return strings.Join(s, " ")
}

func TestMakeSocket(t *testing.T) {
	for name, prepare := range map[string]func(t *testing.T, path string){
		"nothing there": func(*testing.T, string) {},
		"stale":         staleSocket,
		"stale lock":    func(t *testing.T, path string) { writeFile(t, path+".lock", "") },
	} {
		t.Run(name, func(t *testing.T) {
			defer unix.Umask(unix.Umask(0o077))
			dir := shortDir(t)
			path := filepath.Join(dir, "s")
			prepare(t, path)
			s, err := makeSocket(forEverybody(path))
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			if !answers(path) {
				t.Error("it does not answer")
			}
			if s.namespace != ccstore.DefaultNamespace {
				t.Errorf("namespace %q", s.namespace)
			}
			if info, err := os.Lstat(path); err != nil || info.Mode() != os.ModeSocket|0o666 {
				t.Errorf("got mode %v, %v", info.Mode(), err)
			}
			if got := names(t, dir); got != "s" {
				t.Errorf("in the directory: %s", got)
			}
			s.remove()
			if got := names(t, dir); got != "" {
				t.Errorf("in the directory at the end: %s", got)
			}
			// The socket of the next daemon may have the same inode number.
			staleSocket(t, path)
			s.remove()
			if got := names(t, dir); got != "s" {
				t.Error("a second remove removed the next socket")
			}
		})
	}
}

func TestMakeSocketMakesDirectory(t *testing.T) {
	defer unix.Umask(unix.Umask(0o077))
	dir := shortDir(t)
	s, err := makeSocket(forEverybody(filepath.Join(dir, "kcmd", "s")))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if info, err := os.Stat(filepath.Join(dir, "kcmd")); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("got mode %v, %v", info.Mode(), err)
	}
	if _, err := makeSocket(forEverybody(filepath.Join(dir, "a", "b", "s"))); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a tree of directories: got %v", err)
	}
}

func TestMakeSocketLeavesLiveOne(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = makeSocket(forEverybody(path))
	want := fmt.Sprintf("cannot listen: socket %s is in use by kcmd.test (pid %d); stop it, or give another path with --socket", path, os.Getpid())
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	if !answers(path) {
		t.Error("it does not answer")
	}
}

// A daemon with a full queue keeps its socket.
func TestMakeSocketLeavesBusyOne(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	if err := unix.Bind(fd, &unix.SockaddrUnix{Name: path}); err != nil {
		t.Fatal(err)
	}
	if err := unix.Listen(fd, 0); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := net.Dial("unix", path)
		if err != nil {
			break // its queue is full
		}
		defer c.Close()
	}
	if _, err := makeSocket(forEverybody(path)); err == nil || !strings.Contains(err.Error(), "is in use by ") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

func TestMakeSocketLeavesOtherThings(t *testing.T) {
	for name, prepare := range map[string]func(path string) error{
		"file":      func(path string) error { return os.WriteFile(path, []byte("precious"), 0o600) },
		"directory": func(path string) error { return os.Mkdir(path, 0o700) },
		"link":      func(path string) error { return os.Symlink("nowhere", path) },
		"fifo":      func(path string) error { return unix.Mkfifo(path, 0o600) },
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(shortDir(t), "s")
			if err := prepare(path); err != nil {
				t.Fatal(err)
			}
			before, err := os.Lstat(path)
			if err != nil {
				t.Fatal(err)
			}
			_, err = makeSocket(forEverybody(path))
			if want := "cannot make the socket " + path + ": there is a file that is not a socket"; err == nil || err.Error() != want {
				t.Errorf("got %v, want %s", err, want)
			}
			after, err := os.Lstat(path)
			if err != nil || !os.SameFile(before, after) || before.Size() != after.Size() {
				t.Error("it was changed")
			}
		})
	}
}

func TestRemoveLeavesAnothersSocket(t *testing.T) {
	path := filepath.Join(shortDir(t), "s")
	s, err := makeSocket(forEverybody(path))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s.remove()
	s.Close()
	if !answers(path) {
		t.Error("it was removed")
	}
}

// One of several daemons that find the same stale socket at once replaces it.
func TestRaceForSocket(t *testing.T) {
	dir := shortDir(t)
	path := filepath.Join(dir, "s")
	for range 3 {
		staleSocket(t, path)
		race(t, path)
		if got := names(t, dir); got != "" {
			t.Fatalf("left behind: %s", got)
		}
	}
}

// race starts daemons on one path and ends the one that serves it.
func race(t *testing.T, path string) {
	t.Helper()
	const racers = 4
	running := make(map[*proc]bool)
	ended := make(chan *proc, racers)
	for range racers {
		p := kcmd(t, []string{"--socket", path, "--store", "memory:", "--bus", "none"})
		if err := p.Start(); err != nil {
			t.Fatal(err)
		}
		running[p] = true
		t.Cleanup(func() { p.Process.Kill() })
		go func() { _ = p.Wait(); ended <- p }()
	}
	for len(running) > 1 {
		select {
		case p := <-ended:
			delete(running, p)
			if p.ProcessState.ExitCode() != 1 || !strings.Contains(p.stderr.String(), "is in use by ") {
				t.Errorf("%v: %s", p.ProcessState, p.stderr.String())
			}
		case <-time.After(patience):
			t.Fatalf("%d daemons have the same socket", len(running))
		}
	}
	if !answers(path) {
		t.Error("no daemon answers")
	}
	for p := range running {
		_ = p.Process.Signal(syscall.SIGTERM)
		<-ended
	}
}

// passed returns a socket such as systemd passes.
func passed(t *testing.T, name string, domain, typ int, listening bool) *os.File {
	t.Helper()
	fd, err := unix.Socket(domain, typ|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), name)
	t.Cleanup(func() { f.Close() })
	if domain == unix.AF_UNIX {
		err = unix.Bind(fd, &unix.SockaddrUnix{Name: filepath.Join(shortDir(t), "s")})
	}
	if err == nil && listening {
		err = unix.Listen(fd, 8)
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func TestActivated(t *testing.T) {
	for name, want := range map[string]string{
		"kcm":         ccstore.DefaultNamespace,
		"kcmd.socket": ccstore.DefaultNamespace,
		"unknown":     ccstore.DefaultNamespace,
		"LISTEN_FD_3": ccstore.DefaultNamespace,
		"LISTEN_FD_4": ccstore.DefaultNamespace,
		"web":         "web",
		"web.socket":  "web.socket",
	} {
		sockets, err := activated([]*os.File{passed(t, name, unix.AF_UNIX, unix.SOCK_STREAM, true)})
		if err != nil {
			t.Fatal(err)
		}
		s := sockets[0]
		if s.namespace != want {
			t.Errorf("%s: namespace %s, want %s", name, s.namespace, want)
		}
		s.remove()
		if !answers(s.path()) {
			t.Errorf("%s: it does not answer", name)
		}
		s.Close()
		if _, err := os.Lstat(s.path()); err != nil {
			t.Errorf("%s: systemd's socket was removed: %v", name, err)
		}
	}
}

func TestActivatedWithOtherThings(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	for what, f := range map[string]*os.File{
		"datagram":       passed(t, "kcm", unix.AF_UNIX, unix.SOCK_DGRAM, false),
		"seqpacket":      passed(t, "kcm", unix.AF_UNIX, unix.SOCK_SEQPACKET, true),
		"not listening":  passed(t, "kcm", unix.AF_UNIX, unix.SOCK_STREAM, false),
		"over a network": passed(t, "kcm", unix.AF_INET, unix.SOCK_STREAM, true),
		"no socket":      null,
	} {
		want := `cannot use the socket "` + f.Name() + `" from systemd: it is not a listening UNIX stream socket`
		if _, err := activated([]*os.File{f}); err == nil || err.Error() != want {
			t.Errorf("%s: got %v, want %s", what, err, want)
		}
	}
}
