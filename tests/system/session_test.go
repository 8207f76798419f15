package system

import (
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// steppingBack skips the test where a session's daemon has nothing to do.
func steppingBack(t *testing.T) {
	t.Helper()
	const system = "/run/.heim_org.h5l.kcm-socket"
	if c, err := net.Dial("unix", system); err == nil {
		c.Close()
		t.Skip("a daemon of the machine answers at " + system + ", and a session steps back before it")
	}
}

// TestBusActivation asks for the name on a session bus on which nobody has it:
// the bus starts "kcmd --session" by the file that is installed.
func TestBusActivation(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no bus is started")
	}
	need(t, "dbus-run-session", "busctl")
	steppingBack(t)
	l, _ := newLab(t)
	kcmd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	installed, err := os.ReadFile("../../data/dbus/session/org.kcmd.KCM1.service.in")
	if err != nil {
		t.Fatal(err)
	}
	service := strings.ReplaceAll(string(installed), "@bindir@/kcmd", kcmd)
	services := l.Path("share", "dbus-1", "services")
	for _, dir := range []string{l.Path("run"), services} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(services, "org.kcmd.KCM1.service"), []byte(service), 0o600); err != nil {
		t.Fatal(err)
	}
	// The bus does not end what it has started, and a session's daemon outlives
	// its bus: the last words are for it.
	script := `trap 'kill $(busctl --user call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus GetConnectionUnixProcessID s org.kcmd.KCM1 | cut -d " " -f 2)' EXIT
busctl --user get-property org.kcmd.KCM1 /org/kcmd/KCM1 org.kcmd.KCM1.Manager SocketPath`
	client := exec.Command("timeout", "30", "dbus-run-session", "--", "sh", "-c", script)
	client.Env = append(os.Environ(), "HOME="+l.Dir, "XDG_RUNTIME_DIR="+l.Path("run"), "XDG_DATA_HOME="+l.Path("share"), "XDG_STATE_HOME=", "XDG_CONFIG_HOME=")
	client.WaitDelay = 5 * time.Second
	out, err := client.CombinedOutput()
	if want := `s "` + l.Path("run", "kcmd", "kcm.sock") + `"`; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("busctl: %v\n%s\nwant %s", err, out, want)
	}
}

// TestSession runs "kcmd --session" with nothing but the environment of a
// session, and finds it as README.md says: by a krb5.conf of the user's own.
func TestSession(t *testing.T) {
	needKerberos(t)
	need(t, lab.BusPrograms...)
	steppingBack(t)
	l, _ := newLab(t) // its daemon is not started: this one has no flags but one
	bus, err := l.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	realm, err := l.NewRealm()
	if err != nil {
		t.Fatal(err)
	}
	home, runtime := l.Path("home"), l.Path("run")
	for _, dir := range []string{home, runtime, filepath.Join(home, ".config")} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	krb5conf := filepath.Join(l.Dir, "krb5.conf") // the machine's, which names no socket
	if err := realm.WriteConfig(krb5conf, realm.KDC.Port, "-"); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "HOME="+home, "XDG_RUNTIME_DIR="+runtime, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", bus.Env())

	kcmd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	daemon := exec.Command(kcmd, "--session")
	daemon.Env = env
	if err := lab.Start(daemon); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		daemon.Process.Signal(os.Interrupt)
		var exit *exec.ExitError
		if err := daemon.Wait(); errors.As(err, &exit) {
			t.Errorf("kcmd --session ended with %v", err)
		}
	})
	socket := filepath.Join(runtime, "kcmd", "kcm.sock")
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no socket in the session's directory")
		}
	}

	// The two lines of README.md.
	script := `printf '[libdefaults]\n default_ccache_name = KCM:\n kcm_socket = %s\n' "$XDG_RUNTIME_DIR/kcmd/kcm.sock" > ~/.config/krb5.conf
export KRB5_CONFIG=~/.config/krb5.conf:` + krb5conf + `
echo ` + lab.Password("alice") + ` | kinit alice >/dev/null && klist &&
until busctl --user get-property org.kcmd.KCM1 /org/kcmd/KCM1/user/self org.kcmd.KCM1.Collection DefaultCacheName 2>/dev/null | grep KCM; do sleep 0.05; done`
	client := exec.Command("timeout", "30", "sh", "-c", script)
	for _, kv := range env {
		if !strings.HasPrefix(kv, "KRB5CCNAME=") {
			client.Env = append(client.Env, kv)
		}
	}
	out, err := client.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "Ticket cache: KCM:") || !strings.Contains(string(out), "alice@KCMD.TEST") {
		t.Errorf("kinit and klist in the session: %v\n%s", err, out)
	}
	if _, err := os.Stat(filepath.Join(home, ".local", "state", "kcmd", "kcmd.db")); err != nil {
		t.Errorf("the store: %v", err)
	}
}
