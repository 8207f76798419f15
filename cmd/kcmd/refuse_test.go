package main

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// passSocket passes a socket at path to a process before its start, as systemd does.
func (p *proc) passSocket(path, name string) {
	p.t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { l.Close() })
	f, err := l.File()
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { f.Close() })
	p.ExtraFiles = []*os.File{f}
	p.Env = append(p.Env, "LISTEN_FDS=1", "LISTEN_FDNAMES="+name)
	sh, err := exec.LookPath("sh")
	if err != nil {
		p.t.Fatal(err)
	}
	p.Args = append([]string{"sh", "-c", `export LISTEN_PID=$$; exec "$0" "$@"`, p.Path}, p.Args[1:]...)
	p.Path = sh
}

// A daemon that cannot start answers a client at the socket from systemd with an
// error, and leaves the socket to systemd.
func TestRefuses(t *testing.T) {
	dir := shortDir(t)
	notes := writeFile(t, filepath.Join(dir, "db/notes"), "not a database, but long enough to be one")
	if err := os.Chmod(notes, 0o600); err != nil {
		t.Fatal(err)
	}
	wrong := writeFile(t, filepath.Join(dir, "wrong.toml"), "log_level = 1")
	for _, tt := range []struct {
		name   string
		args   []string
		env    string
		status int
	}{
		{"configuration", []string{"--config", wrong}, "", exitConfig},
		{"variable", nil, "KCMD_LOG_LEVEL=loud", exitConfig},
		{"command line", []string{"--sokcet"}, "", exitConfig},
		{"store", []string{"--bus", "none", "--store", "sqlite:" + notes}, "", 1},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel() // each takes the time of a refusal
			socket := filepath.Join(dir, tt.name)
			// Without its bus.
			p := kcmd(t, tt.args, tt.env, "DBUS_SYSTEM_BUS_ADDRESS=unix:path="+dir+"/nobus")
			p.passSocket(socket, "kcm")
			c, err := client.Dial(t.Context(), socket)
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { p.Process.Kill() })
			_, err = c.GetDefaultCache()
			if code := kcm.Code(0); !errors.As(err, &code) {
				t.Errorf("the client got %v\n%s", err, p.stderr.String())
			}
			_ = p.Wait()
			if got := p.ProcessState.ExitCode(); got != tt.status {
				t.Errorf("exit status %d, want %d\n%s", got, tt.status, p.stderr.String())
			}
			if !strings.Contains(p.stderr.String(), "cannot start, answering clients with errors before ending") {
				t.Errorf("log:\n%s", p.stderr.String())
			}
			if next, err := net.Dial("unix", socket); err != nil {
				t.Errorf("the socket was removed: %v", err)
			} else {
				next.Close()
			}
		})
	}
}
