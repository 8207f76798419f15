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

// steppingBack skips the test where a KCM server of the machine answers.
func steppingBack(t *testing.T) {
	t.Helper()
	const system = "/run/.heim_org.h5l.kcm-socket"
	if c, err := net.Dial("unix", system); err == nil {
		c.Close()
		t.Skip("a daemon of the machine answers at " + system + ", and a session steps back before it")
	}
}

// TestBusActivation calls kcmd on a session bus, which starts "kcmd --session" by the
// installed file.
func TestBusActivation(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no bus is started")
	}
	lab.Need(t, "dbus-run-session", "busctl")
	steppingBack(t)
	l, _ := newLab(t)
	services := installSessionService(t, l)
	// The daemon that the bus starts ends with the bus.
	client := exec.Command("timeout", "60", "dbus-run-session", "--", "busctl", "--user", "get-property",
		"org.kcmd.KCM1", "/org/kcmd/KCM1", "org.kcmd.KCM1.Manager", "SocketPath")
	client.Env = append(os.Environ(), services...)
	client.WaitDelay = 5 * time.Second
	out, err := client.CombinedOutput()
	socket := l.Path("run", "kcmd", "kcm.sock")
	if want := `s "` + socket + `"`; err != nil || !strings.Contains(string(out), want) {
		t.Errorf("busctl: %v\n%s\nwant %s", err, out, want)
	}
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if _, err := os.Lstat(socket); os.IsNotExist(err) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the daemon outlives the bus that started it")
		}
	}
}

// installSessionService installs what a session bus needs to start kcmd, and
// returns the variables of the session.
func installSessionService(t *testing.T, l *lab.Lab) []string {
	t.Helper()
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
	return []string{"HOME=" + l.Dir, "XDG_RUNTIME_DIR=" + l.Path("run"), "XDG_DATA_HOME=" + l.Path("share"), "XDG_STATE_HOME=", "XDG_CONFIG_HOME="}
}

// TestSessionStepsBack runs a session beside a daemon of the machine, whose socket is
// at the usual path in a private /run. A call on the session bus fails at once, whether
// the bus starts kcmd itself or by systemd, which passes a socket; it starts no second,
// empty collection. A client of the session's socket is served.
func TestSessionStepsBack(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: no bus is started")
	}
	lab.Need(t, "dbus-run-session", "busctl", "unshare", "mount")
	if os.Geteuid() != 0 {
		t.Skip("only root can give the test a /run of its own")
	}
	if err := lab.NoDisk(); err != nil {
		t.Skip(err)
	}
	l, _ := newLab(t)
	env := installSessionService(t, l)
	kcmd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	passed, err := net.ListenUnix("unix", &net.UnixAddr{Name: l.Path("passed"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer passed.Close()
	f, err := passed.File()
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	// ACTIVATE does what systemd does for a unit: it passes a socket as descriptor 3.
	const machine = `mount -t tmpfs tmpfs /run
"$KCMD" --bus none --store memory: --socket /run/.heim_org.h5l.kcm-socket 2>"$HOME/machine.log" &
machine=$!
trap 'kill $machine' EXIT
until grep -q msg=serving "$HOME/machine.log"; do sleep 0.01; done
`
	for _, tt := range []struct{ name, script, want string }{
		{"started by the bus", machine + `dbus-run-session -- busctl --user get-property org.kcmd.KCM1 /org/kcmd/KCM1 org.kcmd.KCM1.Manager SocketPath && exit 1
test ! -e "$XDG_RUNTIME_DIR/kcmd"`, "exited with status 1"},
		{"started by systemd", machine + `export ACTIVATE='env -u DBUS_STARTER_ADDRESS LISTEN_FDS=1 LISTEN_FDNAMES=kcm sh -c "LISTEN_PID=\$\$ exec \"\$KCMD\" --session"'
rm "$XDG_DATA_HOME/dbus-1/services/org.kcmd.KCM1.service"
dbus-run-session -- sh -c 'eval "$ACTIVATE" 2>"$HOME/session.log" & pid=$!
until busctl --user status org.kcmd.KCM1 >/dev/null 2>&1; do sleep 0.01; done
busctl --user call org.kcmd.KCM1 /org/kcmd/KCM1 org.kcmd.KCM1.Manager FindCaches s x && exit 1
wait $pid && echo status 0'
cat "$HOME/session.log"
test ! -e "$HOME/.local/state/kcmd"`, "status 0"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cmd := exec.Command("timeout", "60", "unshare", "--mount", "--propagation", "private", "sh", "-c", tt.script)
			cmd.Env = append(append(os.Environ(), env...), "KCMD="+kcmd)
			cmd.ExtraFiles = []*os.File{f}
			cmd.WaitDelay = 5 * time.Second
			out, err := cmd.CombinedOutput()
			if err != nil || !strings.Contains(string(out), tt.want) {
				t.Errorf("%v, want %q in\n%s", err, tt.want, out)
			}
		})
	}
}

// TestSession runs "kcmd --session" with only the environment of a session. Clients
// find it by the user's krb5.conf of README.md.
func TestSession(t *testing.T) {
	lab.NeedKerberos(t)
	lab.Need(t, lab.BusPrograms...)
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
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		if c, err := net.Dial("unix", socket); err == nil {
			c.Close()
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no socket in the session's directory")
		}
	}

	// The tickets of one user: the kernel refuses the others.
	if info, err := os.Stat(socket); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the mode of the socket is %v, want 0600 (%v)", info.Mode(), err)
	}
	if os.Getuid() == 0 {
		// Not by the directories, which are closed as well.
		for dir := filepath.Dir(socket); dir != l.Dir; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		if c, err := dialAs(attackerUID, socket); !errors.Is(err, os.ErrPermission) {
			t.Errorf("another user connects to the socket: %v", err)
			if err == nil {
				c.Close()
			}
		}
	}

	// The two lines of README.md.
	script := `printf '[libdefaults]\n default_ccache_name = KCM:\n kcm_socket = %s\n' "$XDG_RUNTIME_DIR/kcmd/kcm.sock" > ~/.config/krb5.conf
export KRB5_CONFIG=~/.config/krb5.conf:` + krb5conf + `
echo ` + lab.Password("alice") + ` | kinit alice >/dev/null && klist &&
until busctl --user get-property org.kcmd.KCM1 /org/kcmd/KCM1/user/self org.kcmd.KCM1.Collection DefaultCacheName 2>/dev/null | grep KCM; do sleep 0.05; done`
	client := exec.Command("timeout", "60", "sh", "-c", script)
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
