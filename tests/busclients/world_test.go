package busclients

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// patience is how long a test waits for what must happen. Only a failing test
// gets there.
const patience = time.Minute

// Users of tests that need several, in the password file of every Debian.
const (
	owner    = 33
	stranger = 8
)

// A world is a bus with a daemon on it, and a realm.
type world struct {
	t        *testing.T
	lab      *lab.Lab
	bus      *lab.Bus
	daemon   *lab.Daemon
	krb5conf string
	env      []string // of its commands, besides
}

// newWorld starts a daemon on a bus of that type. A system bus needs root.
func newWorld(t *testing.T, busType lab.BusType) *world {
	t.Helper()
	lab.NeedKerberos(t)
	lab.Need(t, lab.BusPrograms...)
	if busType == lab.SystemBus && os.Getuid() != 0 {
		t.Skip("only root can run a service on a system bus, and clients of several users")
	}
	kerberos, err := realm()
	if err != nil {
		t.Fatal(err)
	}
	l, d := lab.NewForTest(t, program, lab.EndOfTest)
	w := &world{t: t, lab: l, daemon: d, krb5conf: l.Path("krb5.conf")}
	if err := kerberos.WriteConfig(w.krb5conf, kerberos.KDC.Port, w.daemon.Socket); err != nil {
		t.Fatal(err)
	}
	policy, err := os.ReadFile(filepath.Join("..", "..", "data", "dbus", "org.kcmd.KCM1.conf"))
	if err != nil {
		t.Fatal(err)
	}
	if w.bus, err = l.NewBus(busType, string(policy)); err != nil {
		t.Fatal(err)
	}
	w.daemon.Bus = w.bus
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	return w
}

// stopDaemon ends the daemon, so that its name on the bus is free.
func (w *world) stopDaemon() {
	w.t.Helper()
	if err := w.daemon.Stop(); err != nil {
		w.t.Fatal(err)
	}
}

// startDaemon starts it again, with what it has stored.
func (w *world) startDaemon() {
	w.t.Helper()
	if err := w.daemon.Start(); err != nil {
		w.t.Fatal(err)
	}
}

// busFlag returns how busctl and gdbus call the bus.
func (w *world) busFlag(program string) string {
	if w.bus.Type == lab.SystemBus {
		return "--system"
	}
	if program == "busctl" {
		return "--user"
	}
	return "--session"
}

// self returns the user that a test's clients run as: on a session bus the one
// who runs the test.
func (w *world) self() int {
	if w.bus.Type == lab.SystemBus {
		return owner
	}
	return os.Getuid()
}

// command returns a command that finds bus, socket and realm, as the user uid.
func (w *world) command(uid int, name string, args ...string) *exec.Cmd {
	cmd := exec.Command(name, args...)
	cmd.Dir = "/"
	cmd.Env = append(w.daemon.ClientEnv(w.krb5conf), w.env...)
	if uid != os.Getuid() {
		lab.As(cmd, uint32(uid))
	}
	return cmd
}

// run runs a command to its end and returns its output.
func (w *world) run(uid int, name string, args ...string) (string, error) {
	cmd := w.command(uid, name, args...)
	if name == "kinit" {
		cmd.Stdin = strings.NewReader(lab.Password(args[len(args)-1]) + "\n")
	}
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := lab.Start(cmd); err != nil {
		return "", err
	}
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		return out.String(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, out.String())
	}
	return out.String(), nil
}

// must runs a command that must not fail.
func (w *world) must(uid int, name string, args ...string) string {
	w.t.Helper()
	out, err := w.run(uid, name, args...)
	if err != nil {
		w.t.Fatal(err)
	}
	return out
}

// busctl runs busctl as the user of the test.
func (w *world) busctl(args ...string) string {
	w.t.Helper()
	return w.must(w.self(), "busctl", append([]string{w.busFlag("busctl")}, args...)...)
}

// gdbus runs gdbus as the user of the test.
func (w *world) gdbus(verb string, args ...string) string {
	w.t.Helper()
	return w.must(w.self(), "gdbus", append([]string{verb, w.busFlag("gdbus"), "--dest", lab.BusName}, args...)...)
}

// cachePath returns the object path of the first cache of a principal.
func (w *world) cachePath(principal string) string {
	w.t.Helper()
	out := w.busctl("call", lab.BusName, rootPath, "org.kcmd.KCM1.Manager", "FindCaches", "s", principal)
	path := regexp.MustCompile(`/org/kcmd[^"]*`).FindString(out)
	if path == "" {
		w.t.Fatalf("no cache of %s: %s", principal, out)
	}
	return path
}

const rootPath = "/org/kcmd/KCM1"

func collectionPath(uid int) string { return rootPath + "/user/" + strconv.Itoa(uid) }

// A listener is a client that runs until the test ends and prints what it sees.
type listener struct {
	t    *testing.T
	name string
	cmd  *exec.Cmd
	done chan struct{}

	mu        sync.Mutex
	out       bytes.Buffer
	forgotten int
}

// Write implements io.Writer.
func (l *listener) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(b)
}

// listen starts a client.
func (w *world) listen(uid int, name string, args ...string) *listener {
	w.t.Helper()
	l := &listener{t: w.t, name: filepath.Base(name) + " " + strings.Join(args, " "), cmd: w.command(uid, name, args...), done: make(chan struct{})}
	l.cmd.Stdout, l.cmd.Stderr = l, l
	if err := lab.Start(l.cmd); err != nil {
		w.t.Fatal(err)
	}
	go func() {
		defer close(l.done)
		_ = l.cmd.Wait()
	}()
	w.t.Cleanup(l.stop)
	return l
}

func (l *listener) stop() {
	_ = l.cmd.Process.Kill()
	<-l.done
	if l.t.Failed() {
		l.t.Logf("%s said:\n%s", l.name, l.out.String())
	}
}

// text returns what it has said since forget.
func (l *listener) text() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()[l.forgotten:]
}

// all returns everything that it has said.
func (l *listener) all() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *listener) forget() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.forgotten = l.out.Len()
}

// await waits until it has said that.
func (l *listener) await(expression string) {
	l.t.Helper()
	re := regexp.MustCompile("(?m)" + expression)
	for deadline := time.Now().Add(patience); !re.MatchString(l.text()); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			l.t.Fatalf("%s has not said %#q but\n%s", l.name, expression, l.text())
		}
	}
}

// want fails the test unless text matches.
func want(t *testing.T, text string, expressions ...string) {
	t.Helper()
	for _, e := range expressions {
		if !regexp.MustCompile("(?m)" + e).MatchString(text) {
			t.Errorf("no match for %#q in\n%s", e, text)
		}
	}
}

// pid returns the process id of a client as text.
func pid(l *listener) string { return strconv.Itoa(l.cmd.Process.Pid) }
