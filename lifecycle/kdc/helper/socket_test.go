package helper_test

import (
	"os/exec"
	"testing"
	"time"

	"kcmd.org/kcmd/lifecycle/kdc"
	"kcmd.org/kcmd/tests/lab"
)

// TestSocket has systemd's program accept at a socket and run a helper for each
// connection, as the units do.
func TestSocket(t *testing.T) {
	w := newWorld(t)
	lab.Need(t, "systemd-socket-activate")
	socket := w.lab.Path("kdc.sock")
	args := append([]string{"--accept", "--inetd", "--listen=" + socket,
		"--setenv=KRB5_CONFIG", "--setenv=XDG_RUNTIME_DIR", "--setenv=PATH"}, w.client.Command...)
	cmd := exec.Command("systemd-socket-activate", args...)
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	w.client = &kdc.Client{Socket: socket}
	tgt := w.kinit("alice", "-r", "1d")
	var err error
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		if _, err = w.do(kdc.Renew, tgt); err == nil {
			break // it listens
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	w.fails(kdc.NotRenewable, kdc.Renew, w.kinit("carol"))
	w.client = &kdc.Client{Socket: w.lab.Path("none.sock")}
	w.fails(kdc.Broken, kdc.Renew, tgt)
}
