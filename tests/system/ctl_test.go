package system

import (
	"bytes"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// kcmctl asks for a password on the terminal, which does not show it, and prints in
// colours there unless NO_COLOR is set.
func TestKcmctlOnTerminal(t *testing.T) {
	lab.Need(t, "dbus-daemon")
	w := newStoppedWorld(t, "terminal")
	bus, err := w.lab.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	w.daemon.Bus = bus
	if err := w.daemon.Start("--renew", "no"); err != nil {
		t.Fatal(err)
	}
	out := typed(t, w, bus, nil, "alice: ", lab.Password("alice")+"\n", "acquire", "--session", "alice")
	if !strings.Contains(out, "Password for alice: ") || !strings.Contains(out, "has tickets") || strings.Contains(out, lab.Password("alice")) {
		t.Errorf("the terminal shows %q", out)
	}
	if out := typed(t, w, bus, nil, "", "", "list", "--session"); !strings.Contains(out, "\x1b[32mvalid\x1b[0m") {
		t.Errorf("without colours: %q", out)
	}
	if out := typed(t, w, bus, []string{"NO_COLOR=1"}, "", "", "list", "--session"); strings.Contains(out, "\x1b") {
		t.Errorf("NO_COLOR has colours: %q", out)
	}
	// An interrupt at the prompt leaves the terminal as it was.
	if out := typed(t, w, bus, nil, "bob: ", "\x03", "acquire", "--session", "bob"); !strings.HasSuffix(out, "echo is on\r\n") {
		t.Errorf("after an interrupt: %q", out)
	}
}

// Where kcmd takes no passwords, kcmctl has kpasswd ask for them. An expired ticket is
// there, with which kpasswd cannot protect its request.
func TestKcmctlRunsKpasswd(t *testing.T) {
	lab.Need(t, "dbus-daemon", "kadmind", "kpasswd", "kinit", "kvno")
	w := newStoppedWorld(t, "passwd")
	bus, err := w.lab.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	w.daemon.Bus = bus
	if err := w.realm.StartPasswordServer(); err != nil {
		t.Fatal(err)
	}
	if err := w.realm.WriteConfig(w.krb5conf, w.realm.KDC.Port, w.daemon.Socket); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Start("--renew", "no", "--acquire", "no"); err != nil {
		t.Fatal(err)
	}
	run := func(program string, args ...string) error {
		cmd := exec.Command(program, args...)
		cmd.Dir, cmd.Env, cmd.Stdin = w.lab.Dir, w.env(), strings.NewReader(lab.Password("alice")+"\n")
		return cmd.Run()
	}
	if err := run("kinit", "-l", "1s", "alice"); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end of the TGT", func() bool { return run("kvno", "-q", "krbtgt/"+lab.RealmName) != nil })
	out := typed(t, w, bus, []string{"NO_COLOR=1"}, "alice", lab.Password("alice")+"\nanother-secret\nanother-secret\n", "passwd", "--session", "alice")
	if !strings.Contains(out, "The password of alice is changed") {
		t.Errorf("the terminal shows %q", out)
	}
}

// typed runs kcmctl on a terminal of its own, types text after the prompt, and returns
// what the terminal shows.
func typed(t *testing.T, w *world, bus *lab.Bus, env []string, prompt, text string, args ...string) string {
	t.Helper()
	program, err := kcmctl()
	if err != nil {
		t.Fatal(err)
	}
	terminal, device, err := openTerminal()
	if err != nil {
		t.Skipf("no terminal can be made here: %v", err)
	}
	defer terminal.Close()
	// The shell outlives an interrupt.
	script := `trap : INT; "$@"; case $(stty -a) in *" echo "*) echo echo is on;; esac`
	cmd := exec.Command("bash", slices.Concat([]string{"-c", script, "bash", program}, args)...)
	cmd.Dir, cmd.Env = w.lab.Dir, slices.Concat(w.env(), []string{bus.Env(), "TERM=xterm"}, env)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = device, device, device
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	device.Close()
	out := readTerminal(t, terminal, prompt, text)
	if err := cmd.Wait(); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return out
}

// readTerminal reads until no process has the device open, which is an error, and
// types text once after the prompt.
func readTerminal(t *testing.T, terminal *os.File, prompt, text string) string {
	t.Helper()
	var out []byte
	for buffer := make([]byte, 4096); ; {
		n, err := terminal.Read(buffer)
		out = append(out, buffer[:n]...)
		if text != "" && bytes.Contains(out, []byte(prompt)) {
			if _, err := terminal.WriteString(text); err != nil {
				t.Fatal(err)
			}
			text = ""
		}
		if err != nil {
			return string(out)
		}
	}
}
