package main

import (
	"cmp"
	"encoding/binary"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/version"
)

func TestBadStart(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "s")
	notes := writeFile(t, filepath.Join(dir, "db/notes"), "not a database, but long enough to be one")
	if err := os.Chmod(notes, 0o600); err != nil {
		t.Fatal(err)
	}
	none := writeFile(t, filepath.Join(dir, "none"), "")
	link := filepath.Join(dir, "db/link")
	if err := os.Symlink(notes, link); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args   string
		status int
		want   string // beginning
	}{
		{"--config " + none + " --log-level loud", exitConfig, `kcmd: cannot read the configuration: --log-level: "loud" is not allowed; allowed: debug, info, warn, error`},
		{"--config " + dir + "/missing", exitConfig, "kcmd: cannot read the configuration: open " + dir + "/missing: no such file or directory"},
		{"--sokcet x", exitConfig, "kcmd: cannot read the command line: unknown flag: --sokcet; see kcmd --help"},
		{"run", exitConfig, `kcmd: cannot read the command line: unexpected argument "run"; allowed: options, and the commands check, dump, rekey; see kcmd --help`},
		{"--socket " + socket + " --bus none --store sqlite:" + notes, 1, "kcmd: cannot open store " + notes + ": "},
		{"--socket " + socket + " --bus none --store sqlite:" + dir + "/a/b/k.db", 1, "kcmd: cannot open store " + dir + "/a/b/k.db: mkdir " + dir + "/a/b: no such file or directory"},
		{"--socket " + socket + " --bus none --store sqlite:" + link, 1, "kcmd: cannot open store " + link + ": it is a symbolic link; allowed: the path of the file itself"},
		{"--session=maybe", exitConfig, `kcmd: cannot read the command line: --session: "maybe" is not allowed; allowed: true, false, or no value; see kcmd --help`},
		{"help nothing", 2, `kcmd: no help on "nothing"; allowed: kcmd help, kcmd help check, kcmd help dump, kcmd help rekey`},
		{"check a b", 2, `kcmd: cannot read the command line: unexpected argument "b"; allowed: options and one STORE; see kcmd check --help`},
		{"check " + notes, 2, "kcmd: cannot open store " + notes + ": file is not a database"},
		{"dump --json=yes " + notes, 2, `kcmd: cannot read the command line: --json: "yes" is not allowed; allowed: true, false, or no value; see kcmd dump --help`},
		{"--socket " + none + " --bus none --store memory:", 1, "kcmd: cannot make the socket " + none + ": there is a file that is not a socket"},
		{"--socket " + none + "/s --bus none --store memory:", 1, "kcmd: cannot make the socket " + none + "/s: "},
	} {
		line := kcmd(t, strings.Fields(tt.args)).fails(tt.status)
		if !strings.HasPrefix(line, tt.want) {
			t.Errorf("%s:\n got %s\nwant %s", tt.args, line, tt.want)
		}
		if _, err := os.Lstat(socket); err == nil {
			t.Errorf("%s: it left its socket", tt.args)
		}
	}
}

// A second daemon touches neither the socket nor the store of the first.
func TestSecondDaemon(t *testing.T) {
	dir := shortDir(t)
	socket := filepath.Join(dir, "s")
	first := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "sqlite:" + dir + "/state/k.db"})
	first.startServing(socket)

	got := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "sqlite:" + dir + "/other/k.db"}).fails(1)
	if want := "kcmd: cannot listen: socket " + socket + " is in use by kcmd.test (pid " + pid(first) + "); stop it, or give another path with --socket"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	got = kcmd(t, []string{"--socket", socket + "2", "--bus", "none", "--store", "sqlite:" + dir + "/state/k.db"}).fails(1)
	if want := "kcmd: cannot open store " + dir + "/state/k.db: another process uses it"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	if got := names(t, dir); got != "s state" {
		t.Errorf("in the directory: %s", got)
	}
	if info, err := os.Stat(dir + "/state"); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("directory of the store: %v, %v", info.Mode(), err)
	}
	if !answers(socket) {
		t.Error("the first does not answer")
	}
	if state := first.ends(syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("the first ended with %v\n%s", state, first.stderr.String())
	}
	if got := names(t, dir); got != "state" {
		t.Errorf("in the directory at the end: %s", got)
	}
}

func TestSignals(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT} {
		p := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "memory:"})
		p.startServing(socket)
		if state := p.ends(sig); state.ExitCode() != 0 {
			t.Errorf("%v: ended with %v", sig, state)
		}
		if _, err := os.Lstat(socket); err == nil {
			t.Errorf("%v: it left its socket", sig)
		}
	}
}

// The daemon waits for a request in progress. A second signal ends the wait.
func TestSecondSignal(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	p := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "memory:"})
	p.startServing(socket)

	// The request of a client that reads no replies stays in progress.
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	flood(t, c)

	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of the socket", func() bool { return !answers(socket) })
	ended := make(chan struct{})
	go func() { _ = p.Wait(); close(ended) }()
	select {
	case <-ended:
		t.Fatalf("it did not wait: %v", p.ProcessState)
	case <-time.After(200 * time.Millisecond):
	}
	if err := p.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
	case <-time.After(patience):
		t.Fatal("it does not end")
	}
	if p.ProcessState.Success() {
		t.Errorf("ended with %v, want a failure", p.ProcessState)
	}
}

// flood sends requests until the socket is full, and reads no reply.
func flood(t *testing.T, c net.Conn) {
	t.Helper()
	request := binary.BigEndian.AppendUint32(nil, 4) // length
	request = append(request, 2, 0)                  // version of the protocol
	request = append(request, 0, 3)                  // GEN_NEW
	var many []byte
	for range 1000 {
		many = append(many, request...)
	}
	_ = c.SetWriteDeadline(time.Now().Add(time.Second))
	for {
		if _, err := c.Write(many); err != nil {
			return
		}
	}
}

func TestNotify(t *testing.T) {
	for _, tt := range []struct{ name, bus, watchdog, ready string }{
		{"no bus", "none", "", "READY=1\nSTATUS=Serving credential caches"},
		{"no watchdog", "none", "WATCHDOG_USEC=", "READY=1\nSTATUS=Serving credential caches"},
		{"watchdog", "none", "WATCHDOG_USEC=100000", "READY=1\nSTATUS=Serving credential caches"},
		{"bus that is away", "unix:path=nobus", "", "READY=1\nSTATUS=Serving credential caches, not on D-Bus yet"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := shortDir(t)
			manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
			if err != nil {
				t.Fatal(err)
			}
			defer manager.Close()
			said := func() string {
				buf := make([]byte, 1000)
				_ = manager.SetReadDeadline(time.Now().Add(patience))
				n, err := manager.Read(buf)
				if err != nil {
					t.Fatal(err)
				}
				return string(buf[:n])
			}
			p := kcmd(t, []string{"--socket", dir + "/s", "--bus", strings.Replace(tt.bus, "nobus", dir+"/nobus", 1), "--store", "memory:"},
				"NOTIFY_SOCKET="+dir+"/notify", tt.watchdog)
			p.startServing(dir + "/s")
			if got := said(); got != tt.ready {
				t.Errorf("got %q, want %q", got, tt.ready)
			}
			if tt.name == "watchdog" {
				for range 3 {
					if got := said(); got != "WATCHDOG=1" {
						t.Errorf("got %q", got)
					}
				}
			}
			if state := p.ends(syscall.SIGTERM); state.ExitCode() != 0 {
				t.Errorf("ended with %v", state)
			}
			got := said()
			for got == "WATCHDOG=1" {
				got = said()
			}
			if got != "STOPPING=1\nSTATUS=Finishing the requests in progress" {
				t.Errorf("got %q", got)
			}
		})
	}
}

func TestActivation(t *testing.T) {
	activate, err := exec.LookPath("systemd-socket-activate")
	if err != nil {
		t.Skip("systemd-socket-activate is not installed")
	}
	dir := shortDir(t)
	p := kcmd(t, nil)
	p.Args = []string{
		activate, "-l", dir + "/a", "-l", dir + "/b", "--fdname=kcm:web",
		"-E", beKcmd, "-E", "WATCHDOG_USEC", "-E", "KCMD_LOG_LEVEL",
		p.Path, "--socket", dir + "/unused", "--bus", "none", "--store", "memory:",
	}
	p.Path = activate
	p.startServing(dir + "/a")
	// The first socket may answer before the second exists.
	eventually(t, "the second socket", func() bool { return answers(dir + "/b") })
	eventually(t, "the daemon", func() bool { return strings.Count(p.stderr.String(), "msg=serving") == 2 })
	if state := p.ends(syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("ended with %v", state)
	}
	if got := names(t, dir); got != "a b" {
		t.Errorf("in the directory: %s", got)
	}
	for _, want := range []string{"/a namespace=default", "/b namespace=web"} {
		if !strings.Contains(p.stderr.String(), want) {
			t.Errorf("no %q in the log:\n%s", want, p.stderr.String())
		}
	}
}

// The log names configured sockets that kcmd does not make because systemd passed
// sockets.
func TestActivationIgnoresTables(t *testing.T) {
	dir := shortDir(t)
	file := writeFile(t, filepath.Join(dir, "kcmd.toml"), `
[[socket]]
path = "`+dir+`/kcm"
[[socket]]
path = "`+dir+`/guests"
namespace = "guests"
`)
	p := kcmd(t, []string{"--config", file, "--bus", "none", "--store", "memory:"})
	p.passSocket(dir+"/kcm", "kcm")
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Process.Kill() })
	eventually(t, "the daemon", func() bool { return strings.Contains(p.stderr.String(), "msg=serving") })
	p.ends(syscall.SIGTERM)
	warnings := strings.Count(p.stderr.String(), "level=WARN")
	if want := "path=" + dir + "/guests namespace=guests"; warnings != 1 || !strings.Contains(p.stderr.String(), want) {
		t.Errorf("want one warning with %s:\n%s", want, p.stderr.String())
	}
}

func TestProcessIsClosed(t *testing.T) {
	socket := filepath.Join(shortDir(t), "s")
	p := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "memory:"})
	p.startServing(socket)
	limits, err := os.ReadFile("/proc/" + pid(p) + "/limits")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(limits)) {
		if strings.HasPrefix(line, "Max core file size") && strings.Join(strings.Fields(line)[4:6], " ") != "0 0" {
			t.Error(line)
		}
	}
	status, err := os.ReadFile("/proc/" + pid(p) + "/status")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(status), "Umask:\t0077") {
		t.Error("the umask is not 077")
	}
	// The files in /proc of a process that is not dumpable belong to root.
	if os.Geteuid() != 0 {
		if f, err := os.Open("/proc/" + pid(p) + "/mem"); err == nil {
			f.Close()
			t.Error("its memory can be opened")
		}
	}
	p.ends(syscall.SIGTERM)
}

func TestVersion(t *testing.T) {
	p := kcmd(t, []string{"--version"})
	out, err := p.Output()
	if err != nil || string(out) != "kcmd "+version.Full()+"\n" {
		t.Errorf("got %q, %v", out, err)
	}
}

func TestHelp(t *testing.T) {
	out, err := kcmd(t, []string{"--help"}).Output()
	if err != nil {
		t.Fatal(err)
	}
	man, err := os.ReadFile("../../data/man/kcmd.8")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range settings {
		if !strings.Contains(string(out), "--"+s.flag()+" ") {
			t.Errorf("--help does not list --%s", s.flag())
		}
		if !strings.Contains(string(man), "Fl -"+s.flag()+" ") {
			t.Errorf("the manual page does not describe --%s", s.flag())
		}
	}
	for _, c := range newCommand(os.Stderr).Commands() {
		if c.Hidden {
			continue
		}
		if !strings.Contains(string(out), "\n  "+c.Name()+" ") || !strings.Contains(string(man), ".It Cm "+c.Name()+" ") {
			t.Errorf("--help or the manual page does not describe %s", c.Name())
		}
	}
}

// kcmd.toml(5) has each key, with its type, what is allowed, and its default.
func TestManualOfConfiguration(t *testing.T) {
	text, err := os.ReadFile("../../data/man/kcmd.toml.5")
	if err != nil {
		t.Fatal(err)
	}
	page := strings.Join(strings.Fields(string(text)), " ")
	describes := func(key string, says string) {
		_, entry, ok := strings.Cut(page, ".It Ic "+key+" = ")
		if !ok {
			t.Errorf("the manual page does not describe %s", key)
			return
		}
		entry, _, _ = strings.Cut(entry, " .It Ic ")
		if !strings.Contains(entry, says) {
			t.Errorf("the manual page does not say of %s: %s", key, says)
		}
	}
	machine := defaults(false)
	for _, s := range settings {
		kind := "String."
		if s.number {
			kind = "Integer."
		}
		describes(s.key, kind+" Allowed: "+s.allowed+". Default: "+cmp.Or(machine[s.key], "none")+".")
	}
	for key, k := range socketKeys {
		describes(key, "Allowed: "+k.allowed+".")
	}
	for key, k := range keepKeys {
		describes(key, "Allowed: "+k.allowed+".")
	}
}
