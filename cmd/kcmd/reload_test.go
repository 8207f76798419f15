package main

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A reloaded is a kcmd whose configuration a test changes.
type reloaded struct {
	*proc
	file    string
	socket  string
	manager *net.UnixConn // receives what it tells systemd
	logFile *os.File      // whose lines are there when systemd was told, unlike those in a pipe
}

func (r *reloaded) log() string { return contents(r.t, r.logFile) }

// startReloaded starts a kcmd with the configuration text, besides flags and env.
func startReloaded(t *testing.T, text string, args []string, env ...string) *reloaded {
	t.Helper()
	dir := shortDir(t)
	manager, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: dir + "/notify", Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { manager.Close() })
	logFile, err := os.Create(dir + "/log")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { logFile.Close() })
	r := &reloaded{file: writeFile(t, filepath.Join(dir, "kcmd.toml"), text), socket: dir + "/s", manager: manager, logFile: logFile}
	args = append([]string{"--config", r.file, "--socket", r.socket, "--bus", "none", "--store", "memory:"}, args...)
	r.proc = kcmd(t, args, append(env, "NOTIFY_SOCKET="+dir+"/notify")...)
	r.Stderr = logFile
	r.startServing(r.socket)
	if got := r.told(); !strings.HasPrefix(got, "READY=1\n") {
		t.Fatalf("told systemd %q", got)
	}
	return r
}

// told returns the next message to systemd.
func (r *reloaded) told() string {
	r.t.Helper()
	buf := make([]byte, 1000)
	_ = r.manager.SetReadDeadline(time.Now().Add(patience))
	n, err := r.manager.Read(buf)
	if err != nil {
		r.t.Fatalf("%v\n%s", err, r.log())
	}
	return string(buf[:n])
}

var reloadingForm = regexp.MustCompile(`^RELOADING=1\nMONOTONIC_USEC=[1-9][0-9]*\n?$`)

// reload replaces the configuration, has kcmd read it, and returns what it logged.
func (r *reloaded) reload(text, status string) string {
	r.t.Helper()
	writeFile(r.t, r.file, text)
	before := len(r.log())
	if err := r.Process.Signal(syscall.SIGHUP); err != nil {
		r.t.Fatal(err)
	}
	if got := r.told(); !reloadingForm.MatchString(got) {
		r.t.Errorf("told systemd %q", got)
	}
	if got := r.told(); got != "READY=1\nSTATUS="+status {
		r.t.Errorf("told systemd %q", got)
	}
	return r.log()[before:]
}

const (
	reloadGood = "Serving credential caches"
	reloadBad  = "Serving credential caches; the last reload failed, see the log"
)

// logs checks that a log has the lines that match, and no others.
func logs(t *testing.T, log string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(log, "\n"), "\n")
	if log == "" {
		lines = nil
	}
	for i, line := range lines {
		if i >= len(want) || !regexp.MustCompile(want[i]).MatchString(line) {
			t.Errorf("line %d: %s", i, line)
		}
	}
	if len(lines) != len(want) {
		t.Errorf("%d lines, want %q:\n%s", len(lines), want, log)
	}
}

func (r *reloaded) dial() *client.Client {
	r.t.Helper()
	c, err := client.Dial(r.t.Context(), r.socket)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() { c.Close() })
	return c
}

// TestReload changes settings of a running daemon, whose clients stay.
func TestReload(t *testing.T) {
	r := startReloaded(t, "max_uid_caches = 1", []string{"--client-timeout", "20s"}, "KCMD_REAP_AFTER=1h")
	c := r.dial()
	for _, tt := range []struct {
		name, text string
		want       []string
	}{
		{"nothing", "max_uid_caches = 1", []string{`level=INFO msg="reloaded the configuration"$`}},
		{"limits", "max_uid_caches = 3\nmax_uid_connections = 9", []string{
			`level=INFO msg="reloaded the configuration" max_uid_caches="1 -> 3" max_uid_connections="256 -> 9"$`,
		}},
		{"what flags and variables set stays", "max_uid_caches = 3\nmax_uid_connections = 9\nclient_timeout = \"1s\"\nreap_after = \"2h\"", []string{`msg="reloaded the configuration"$`}},
		{"a restart", "max_uid_caches = 3\nmax_uid_connections = 9\nsynchronous = \"normal\"", []string{
			`level=INFO msg="reloaded the configuration"$`,
			`level=WARN msg="a restart is needed to apply the changed settings" synchronous="full -> normal"$`,
		}},
		{"a restart again", "synchronous = \"normal\"\nlog_level = \"warn\"", []string{
			`level=INFO msg="reloaded the configuration" log_level="info -> warn" max_uid_caches="3 -> 256" max_uid_connections="9 -> 256"$`,
			`level=WARN msg="a restart is needed to apply the changed settings" synchronous="full -> normal"$`,
		}},
		{"back", "log_level = \"info\"", []string{`msg="reloaded the configuration" log_level="warn -> info"$`}},
		{"tables", "[[keep]]\nprincipal = \"x\"\nkeytab = \"/nowhere\"\nowner = 7", []string{
			`msg="reloaded the configuration" keep="\[\] -> \[x for uid 7 in 7 by /nowhere\]"$`,
		}},
	} {
		if tt.name == "tables" {
			// The keeping of the cache logs too, at any time.
			got := r.reload(tt.text, reloadGood)
			if !regexp.MustCompile("(?m)" + tt.want[0]).MatchString(got) {
				t.Errorf("%s: %s", tt.name, got)
			}
			continue
		}
		logs(t, r.reload(tt.text, reloadGood), tt.want...)
		if t.Failed() {
			t.Fatal(tt.name)
		}
	}
	if _, err := c.GetDefaultCache(); err != nil && !errors.As(err, new(kcm.Code)) {
		t.Errorf("the client's connection: %v", err)
	}
	r.ends(syscall.SIGTERM)
}

// TestReloadApplies checks that applied settings hold at once, for old connections too.
func TestReloadApplies(t *testing.T) {
	r := startReloaded(t, "max_uid_caches = 1", nil)
	c := r.dial()
	// At the limit the oldest of these makes room.
	create := func(want int) {
		t.Helper()
		for range 3 {
			name, err := c.GenNew()
			if err == nil {
				err = c.Initialize(name, ccache.Principal{Realm: "EXAMPLE.COM", Components: []string{"alice"}})
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		if list, err := c.GetCacheUUIDList(); err != nil || len(list) != want {
			t.Errorf("%d caches, want %d; %v", len(list), want, err)
		}
	}
	create(1)
	r.reload("max_uid_caches = 2\nlog_level = \"debug\"", reloadGood)
	create(2)
	eventually(t, "a line at debug", func() bool { return strings.Contains(r.log(), "level=DEBUG msg=request") })
}

// TestReloadFails keeps everything as it is when the new configuration is wrong.
func TestReloadFails(t *testing.T) {
	r := startReloaded(t, `log_level = "info"`, nil)
	const failed = `level=ERROR msg="cannot reload the configuration, continuing with the present one" err="`
	for _, tt := range []struct{ text, want string }{
		{"log_level = 3", failed + regexp.QuoteMeta(r.file) + `: log_level: 3 is not allowed; allowed: debug, info, warn, error"`},
		{"log_level = \"debug\"\nlevel = 1", failed + regexp.QuoteMeta(r.file) + `: unknown key \\"level\\"; allowed: `},
		{"log_level", failed + regexp.QuoteMeta(r.file) + `:1:`},
	} {
		logs(t, r.reload(tt.text, reloadBad), tt.want)
	}
	if err := os.Remove(r.file); err != nil {
		t.Fatal(err)
	}
	logs(t, r.reload(`log_level = "info"`, reloadGood), `msg="reloaded the configuration"$`)
}

// TestReloadManual compares the manual page with the settings that a reload applies.
func TestReloadManual(t *testing.T) {
	man, err := os.ReadFile("../../data/man/kcmd.8")
	if err != nil {
		t.Fatal(err)
	}
	_, list, _ := strings.Cut(string(man), ".\\\" Applied by a reload:\n")
	list, _, _ = strings.Cut(list, ".\\\" End of the list.\n")
	var documented, want []string
	for line := range strings.Lines(list) {
		if name, ok := strings.CutPrefix(line, ".Fl -"); ok {
			documented = append(documented, strings.ReplaceAll(strings.Fields(name)[0], "-", "_"))
		}
	}
	for _, l := range live {
		for _, key := range l.keys {
			if key == "keep" {
				continue // a table, without an option
			}
			if findSetting(key) == nil {
				t.Errorf("there is no setting %s", key)
			}
			want = append(want, key)
		}
	}
	slices.Sort(documented)
	slices.Sort(want)
	if !slices.Equal(documented, want) {
		t.Errorf("the manual has %q, want %q", documented, want)
	}
}
