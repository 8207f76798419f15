package main

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
)

// read reads the configuration of a kcmd with these arguments.
func read(t *testing.T, args ...string) (*config, error) {
	t.Helper()
	cmd := newCommand(os.Stderr)
	if err := cmd.ParseFlags(args); err != nil {
		t.Fatal(err)
	}
	return readConfig(cmd.Flags())
}

// clean clears the environment of kcmd, and returns a directory with an empty
// configuration file and the path of that file.
func clean(t *testing.T) (dir, file string) {
	t.Helper()
	for _, entry := range os.Environ() {
		if name, _, _ := strings.Cut(entry, "="); strings.HasPrefix(name, "KCMD_") || strings.HasPrefix(name, "XDG_") {
			t.Setenv(name, "")
			os.Unsetenv(name)
		}
	}
	dir = t.TempDir()
	t.Setenv("HOME", filepath.Join(dir, "home"))
	return dir, writeFile(t, filepath.Join(dir, "kcmd.toml"), "")
}

func forEverybody(path string) socketConfig {
	c := defaultSocket(path)
	c.mode = everybody
	return c
}

func systemDefaults() *config {
	return &config{
		sockets:           []socketConfig{forEverybody("/run/.heim_org.h5l.kcm-socket")},
		store:             "sqlite:/var/lib/kcmd/kcmd.db",
		bus:               "system",
		synchronous:       "full",
		clientTimeout:     30 * time.Second,
		maxConnections:    4096,
		maxUIDConnections: 256,
		limits:            ccstore.Limits{Caches: 256, Bytes: 64 << 20},
		autoBytes:         true,
		reapAfter:         24 * time.Hour,
		expiryWarning:     10 * time.Minute,
		renew:             "active",
		renewParallel:     4,
		kdcHelper:         "auto",
		acquire:           "auto",
		selinux:           true,
		logLevel:          slog.LevelInfo,
	}
}

// ignoreAsked ignores the field that TestSocketAsked checks, and the texts of values.
var ignoreAsked = cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".socketAsked" || p.Last().String() == ".values" }, cmp.Ignore())

func expect(t *testing.T, want, got *config, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(config{}, keepConfig{}, socketConfig{}), ignoreAsked); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
}

func TestDefaults(t *testing.T) {
	_, file := clean(t)
	got, err := read(t, "--config", file)
	expect(t, systemDefaults(), got, err)
}

func TestSessionDefaults(t *testing.T) {
	dir, _ := clean(t)
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/1000")
	want := systemDefaults()
	want.session = true
	want.sockets = []socketConfig{{path: "/run/user/1000/kcmd/kcm.sock", namespace: "default", mode: ownerOnly}}
	want.store = "sqlite:" + dir + "/home/.local/state/kcmd/kcmd.db"
	want.bus = "session"
	got, err := read(t, "--session")
	expect(t, want, got, err)

	t.Setenv("XDG_STATE_HOME", "/state")
	want.store = "sqlite:/state/kcmd/kcmd.db"
	got, err = read(t, "--session")
	expect(t, want, got, err)

	t.Setenv("XDG_CONFIG_HOME", dir)
	writeFile(t, filepath.Join(dir, "kcmd/kcmd.toml"), `log_level = "warn"`)
	want.logLevel = slog.LevelWarn
	got, err = read(t, "--session")
	expect(t, want, got, err)
}

func TestSessionWithoutDirectories(t *testing.T) {
	clean(t)
	t.Setenv("HOME", "")
	_, err := read(t, "--session")
	const want = "socket: no default, because XDG_RUNTIME_DIR is not set; set it or give --socket"
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
	t.Setenv("XDG_RUNTIME_DIR", "run")
	_, err = read(t, "--session")
	const relative = `socket: no default, because XDG_RUNTIME_DIR="run" is not an absolute path; change it or give --socket`
	if err == nil || err.Error() != relative {
		t.Errorf("got %v, want %s", err, relative)
	}
}

// The error for a relative path shows the absolute path that is too long.
func TestLongRelativeSocket(t *testing.T) {
	dir, file := clean(t)
	deep := filepath.Join(dir, strings.Repeat("d", 80))
	if err := os.Mkdir(deep, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(deep)
	whole := filepath.Join(deep, "kcm.sock")
	want := fmt.Sprintf(`"kcm.sock" is not allowed; allowed: a path of at most 107 bytes without control characters; its absolute path %s has %d bytes`, whole, len(whole))
	if _, err := read(t, "--config", file, "--socket", "kcm.sock"); err == nil || err.Error() != "--socket: "+want {
		t.Errorf("got %v, want %s", err, want)
	}
	writeFile(t, file, "[[socket]]\npath = \"kcm.sock\"")
	if _, err := read(t, "--config", file); err == nil || err.Error() != file+": socket[0].path: "+want {
		t.Errorf("got %v, want %s", err, want)
	}
	writeFile(t, file, "")
	t.Setenv("KCMD_SOCKET", "kcm.sock")
	if _, err := read(t, "--config", file); err == nil || err.Error() != "KCMD_SOCKET: "+want {
		t.Errorf("got %v, want %s", err, want)
	}
}

// The later source takes precedence: the file, kcmd.conf.d in order, variables, flags.
func TestOrder(t *testing.T) {
	dir, file := clean(t)
	want := systemDefaults()

	writeFile(t, file, `
client_timeout = "1s"
max_connections = 1
max_uid_connections = 1
default_cache = "first"
reap_after = "0"
expiry_warning = "0"
store = "memory:"
`)
	want.clientTimeout, want.maxConnections, want.maxUIDConnections = time.Second, 1, 1
	want.defaultFirst, want.reapAfter, want.expiryWarning, want.store = true, 0, 0, "memory:"
	got, err := read(t, "--config", file)
	expect(t, want, got, err)

	writeFile(t, filepath.Join(dir, "kcmd.conf.d/20.toml"), `max_connections = 20`)
	writeFile(t, filepath.Join(dir, "kcmd.conf.d/10.toml"), "max_connections = 10\nmax_uid_connections = 10")
	writeFile(t, filepath.Join(dir, "kcmd.conf.d/30.toml~"), `max_connections = 30`)
	writeFile(t, filepath.Join(dir, "kcmd.conf.d/.#40.toml"), `max_connections = 40`)
	want.maxConnections, want.maxUIDConnections = 20, 10
	got, err = read(t, "--config", file)
	expect(t, want, got, err)

	t.Setenv("KCMD_CONFIG", file)
	t.Setenv("KCMD_MAX_CONNECTIONS", "50")
	t.Setenv("KCMD_BUS", "none")
	t.Setenv("KCMD_STORE", "")
	want.maxConnections, want.bus = 50, "none"
	got, err = read(t)
	expect(t, want, got, err)

	want.maxConnections = 60
	want.logLevel = slog.LevelDebug
	got, err = read(t, "--max-connections", "60", "--log-level=debug")
	expect(t, want, got, err)
}

// TestNoKey removes the key of one file in a later one.
func TestNoKey(t *testing.T) {
	dir, file := clean(t)
	want := systemDefaults()
	writeFile(t, file, `encryption_key = "kcmd-key"`)
	want.encryptionKey = "kcmd-key"
	got, err := read(t, "--config", file)
	expect(t, want, got, err)

	t.Setenv("KCMD_ENCRYPTION_KEY", "/etc/kcmd/key")
	want.encryptionKey = "/etc/kcmd/key"
	got, err = read(t, "--config", file)
	expect(t, want, got, err)
	t.Setenv("KCMD_ENCRYPTION_KEY", "")

	writeFile(t, filepath.Join(dir, "kcmd.conf.d/a.toml"), `encryption_key = ""`)
	want.encryptionKey = ""
	got, err = read(t, "--config", file)
	expect(t, want, got, err)
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int64{"0": 0, "1000": 1000, "64KiB": 64 << 10, "2MiB": 2 << 20, "3GiB": 3 << 30} {
		if got, ok := size(text); got != want || !ok {
			t.Errorf("%s: %d, %v; want %d", text, got, ok, want)
		}
	}
}

// TestSocketTables has several sockets in a file, and sources with a higher precedence.
func TestSocketTables(t *testing.T) {
	dir, file := clean(t)
	writeFile(t, file, `
[[socket]]
path = "/run/a"
[[socket]]
path = "/run/guests/kcm"
namespace = "guests"
mode = "0660"
`)
	want := systemDefaults()
	want.sockets = []socketConfig{
		forEverybody("/run/a"),
		{path: "/run/guests/kcm", namespace: "guests", mode: 0o660},
	}
	want.socketTables = true
	got, err := read(t, "--config", file)
	expect(t, want, got, err)

	one := systemDefaults()
	one.sockets = []socketConfig{forEverybody("/run/flag")}
	got, err = read(t, "--config", file, "--socket", "/run/flag")
	expect(t, one, got, err)

	writeFile(t, filepath.Join(dir, "kcmd.conf.d/a.toml"), `socket = "/run/later"`)
	one.sockets = []socketConfig{forEverybody("/run/later")}
	got, err = read(t, "--config", file)
	expect(t, one, got, err)

	writeFile(t, filepath.Join(dir, "kcmd.conf.d/b.toml"), "[[socket]]\npath = \"/run/last\"\nnamespace = \"last\"")
	one.sockets = []socketConfig{{path: "/run/last", namespace: "last", mode: everybody}}
	one.socketTables = true
	got, err = read(t, "--config", file)
	expect(t, one, got, err)
	one.socketTables = false

	t.Setenv("KCMD_SOCKET", "/run/env")
	one.sockets = []socketConfig{forEverybody("/run/env")}
	got, err = read(t, "--config", file)
	expect(t, one, got, err)
}

func TestRelativePaths(t *testing.T) {
	dir, file := clean(t)
	t.Chdir(dir)
	want := systemDefaults()
	want.sockets = []socketConfig{forEverybody(filepath.Join(dir, "s"))}
	want.store = "sqlite:" + filepath.Join(dir, "k.db")
	got, err := read(t, "--config", file, "--socket", "s", "--store", "sqlite:k.db")
	expect(t, want, got, err)
}

const allKeys = "socket, store, bus, encryption_key, synchronous, client_timeout, max_connections, max_uid_connections, max_uid_caches, max_cache_tickets, max_uid_bytes, max_bytes, default_cache, reap_after, expiry_warning, renew, renew_parallel, kdc_helper, acquire, logout, selinux, idle_timeout, log_level"

func TestBadFile(t *testing.T) {
	_, file := clean(t)
	for _, tt := range []struct{ text, want string }{
		{`sokcet = "/x"`, `: unknown key "sokcet"; allowed: ` + allKeys},
		{`Socket = "/x"`, `: unknown key "Socket"; allowed: ` + allKeys},
		{`config = "/x"`, `: unknown key "config"; allowed: ` + allKeys},
		{"[log]\nlevel = 1", `: unknown key "log"; allowed: ` + allKeys},
		{"[log]", `: unknown key "log"; allowed: ` + allKeys},
		{`log.level = "debug"`, `: unknown key "log"; allowed: ` + allKeys},
		{"[socket]\npath = \"/x\"", `: socket: a table is not allowed; allowed: a path of at most 107 bytes without control characters`},
		{`socket = ["/x"]`, `: socket[0]: "/x" is not allowed; allowed: a table [[socket]]`},
		{"[[socket]]\nnamespace = \"a\"", `: socket[0]: path is missing; allowed: a path of at most 107 bytes without control characters`},
		{"[[socket]]\npath = \"/x\"\n[[socket]]\npath = \"/x\"", `: socket[1].path: "/x" is listed twice; allowed: each path once`},
		{"[[socket]]\npath = \"/x\"\nowner = 3", `: socket[0]: unknown key "owner"; allowed: path, namespace, mode`},
		{"[[socket]]\npath = \"/x\"\nmode = 660", `: socket[0].mode: 660 is not allowed; allowed: an octal mode from "0600" to "0777"`},
		{"[[socket]]\npath = \"/x\"\nmode = \"0066\"", `: socket[0].mode: "0066" is not allowed; allowed: an octal mode from "0600" to "0777"`},
		{"[[socket]]\npath = \"/x\"\nnamespace = \"a b\"", `: socket[0].namespace: "a b" is not allowed; allowed: up to 64 letters, digits, '.', '_' and '-'`},
		{`max_uid_caches = -1`, `: max_uid_caches: -1 is not allowed; allowed: a whole number from 0 to 1000000`},
		{`max_cache_tickets = "5"`, `: max_cache_tickets: "5" is not allowed; allowed: a whole number from 0 to 1000000`},
		{`max_bytes = "much"`, `: max_bytes: "much" is not allowed; allowed: auto, or a size such as "4GiB": a whole number, and KiB, MiB, GiB or nothing`},
		{`max_uid_bytes = 1000`, `: max_uid_bytes: 1000 is not allowed; allowed: a size such as "64MiB": a whole number, and KiB, MiB, GiB or nothing`},
		{`max_uid_bytes = "64 MB"`, `: max_uid_bytes: "64 MB" is not allowed; allowed: a size such as "64MiB": a whole number, and KiB, MiB, GiB or nothing`},
		{`max_uid_bytes = "9999999GiB"`, `: max_uid_bytes: "9999999GiB" is not allowed; allowed: a size such as "64MiB": a whole number, and KiB, MiB, GiB or nothing`},
		{`selinux = "on"`, `: selinux: "on" is not allowed; allowed: auto, off`},
		{`socket = ""`, `: socket: "" is not allowed; allowed: a path of at most 107 bytes without control characters`},
		{`store = "sqlite:"`, `: store: "sqlite:" is not allowed; allowed: sqlite:PATH of at most 480 bytes without control characters, memory:, keyring:, keyring:user:NAME, keyring:session:NAME`},
		{`store = "memory:x"`, `: store: "memory:x" is not allowed; allowed: sqlite:PATH of at most 480 bytes without control characters, memory:, keyring:, keyring:user:NAME, keyring:session:NAME`},
		{`store = "/x.db"`, `: store: "/x.db" is not allowed; allowed: sqlite:PATH of at most 480 bytes without control characters, memory:, keyring:, keyring:user:NAME, keyring:session:NAME`},
		{`bus = "no"`, `: bus: "no" is not allowed; allowed: system, session, none, or the D-Bus address of a UNIX socket such as unix:path=/run/bus`},
		{`bus = "tcp:host=localhost,port=1"`, `: bus: "tcp:host=localhost,port=1" is not allowed; allowed: system, session, none, or the D-Bus address of a UNIX socket such as unix:path=/run/bus`},
		{`bus = "unix:path=/a;tcp:host=b"`, `: bus: "unix:path=/a;tcp:host=b" is not allowed; `},
		{`bus = "unix:tmpdir=/tmp"`, `: bus: "unix:tmpdir=/tmp" is not allowed; `},
		{`bus = false`, `: bus: false is not allowed; allowed: system, session, none, or the D-Bus address of a UNIX socket such as unix:path=/run/bus`},
		{`encryption_key = "keys/kcmd"`, `: encryption_key: "keys/kcmd" is not allowed; allowed: the name of a systemd credential or the absolute path of a file, or "" for none`},
		{`encryption_key = ".."`, `: encryption_key: ".." is not allowed; allowed: the name of a systemd credential or the absolute path of a file, or "" for none`},
		{`encryption_key = 1`, `: encryption_key: 1 is not allowed; allowed: the name of a systemd credential or the absolute path of a file, or "" for none`},
		{`synchronous = "off"`, `: synchronous: "off" is not allowed; allowed: full, normal`},
		{`client_timeout = 30`, `: client_timeout: 30 is not allowed; allowed: a duration above 0 in units h, m, s or ms, such as "30s" (a day is "24h")`},
		{`client_timeout = "0s"`, `: client_timeout: "0s" is not allowed; allowed: a duration above 0 in units h, m, s or ms, such as "30s" (a day is "24h")`},
		{`reap_after = "a day"`, `: reap_after: "a day" is not allowed; allowed: a duration from 0 in units h, m, s or ms, such as "24h" (a day is "24h")`},
		{`reap_after = "7d"`, `: reap_after: "7d" is not allowed; allowed: a duration from 0 in units h, m, s or ms, such as "24h" (a day is "24h")`},
		{`reap_after = 24`, `: reap_after: 24 is not allowed; allowed: a duration from 0 in units h, m, s or ms, such as "24h" (a day is "24h")`},
		{`expiry_warning = "-1s"`, `: expiry_warning: "-1s" is not allowed; allowed: a duration from 0 in units h, m, s or ms, such as "10m" (a day is "24h")`},
		{`max_connections = "12"`, `: max_connections: "12" is not allowed; allowed: a whole number from 1 to 1000000`},
		{`max_connections = 1.5`, `: max_connections: 1.5 is not allowed; allowed: a whole number from 1 to 1000000`},
		{`max_connections = 0`, `: max_connections: 0 is not allowed; allowed: a whole number from 1 to 1000000`},
		{`max_uid_connections = 1000001`, `: max_uid_connections: 1000001 is not allowed; allowed: a whole number from 1 to 1000000`},
		{`default_cache = "last"`, `: default_cache: "last" is not allowed; allowed: strict, first`},
		{`keep = "x"`, `: unknown key "keep"; allowed: `},
		{"[[keep]]\nprincipal = \"x\"\nowner = 0", `: keep[0]: keytab is missing; allowed: the name of a systemd credential or the absolute path of a file`},
		{"[[keep]]\nowner = \"no-such-user\"", `: keep[0].owner: "no-such-user" is not allowed; allowed: the name of a user in /etc/passwd, or the uid of any user (id -u NAME)`},
		{"[[keep]]\nowner = -1", `: keep[0].owner: -1 is not allowed; allowed: the name of a user in /etc/passwd, or the uid of any user (id -u NAME)`},
		{"[[keep]]\nprincipal = \"-R\"", `: keep[0].principal: "-R" is not allowed; allowed: a principal such as batch@EXAMPLE.COM of at most 1024 bytes`},
		{"[[keep]]\nkeytab = \"a/b\"", `: keep[0].keytab: "a/b" is not allowed; allowed: the name of a systemd credential or the absolute path of a file`},
		{"[[keep]]\ncache = \"KCM:x\"", `: keep[0].cache: "KCM:x" is not allowed; allowed: a name such as "1000:batch" of at most 255 bytes, without KCM:`},
		{"[[keep]]\npassword = \"x\"", `: keep[0]: unknown key "password"; allowed: principal, keytab, owner, cache`},
		{strings.Repeat("[[keep]]\nprincipal = \"x\"\nkeytab = \"/x\"\nowner = 7\n", 2), `: keep[1]: the cache "7" of uid 7 is listed twice; allowed: each cache once`},
		{`renew = "always"`, `: renew: "always" is not allowed; allowed: yes, active, no`},
		{`renew_parallel = 0`, `: renew_parallel: 0 is not allowed; allowed: a whole number from 1 to 32`},
		{`renew_parallel = 33`, `: renew_parallel: 33 is not allowed; allowed: a whole number from 1 to 32`},
		{`kdc_helper = "kdc.sock"`, `: kdc_helper: "kdc.sock" is not allowed; allowed: auto, child, none, or an absolute path of at most 107 bytes without control characters`},
		{`acquire = "maybe"`, `: acquire: "maybe" is not allowed; allowed: auto, yes, no`},
		{`log_level = "loud"`, `: log_level: "loud" is not allowed; allowed: debug, info, warn, error`},
		{"bus = \"none\"\nbus = \"system\"", `:2:1: toml: key bus is already defined`},
		{"\nbus = \"none", `:2:11: toml: unterminated basic string`},
		{"bus = none", `:1:7: toml: `},
		{"bus", `:1:`},
		{"\xff = 1", `:1:`},
	} {
		writeFile(t, file, tt.text)
		// A flag does not hide an error in a file.
		_, err := read(t, "--config", file, "--bus", "none")
		if err == nil || !strings.HasPrefix(err.Error(), file+tt.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q:\n got %v\nwant %s%s", tt.text, err, file, tt.want)
		}
	}
}

func TestBadFileInDirectory(t *testing.T) {
	dir, file := clean(t)
	more := writeFile(t, filepath.Join(dir, "kcmd.conf.d/10.toml"), `log_level = "loud"`)
	_, err := read(t, "--config", file)
	want := more + `: log_level: "loud" is not allowed; allowed: debug, info, warn, error`
	if err == nil || err.Error() != want {
		t.Errorf("got %v, want %s", err, want)
	}
}

func TestMissingFile(t *testing.T) {
	dir, _ := clean(t)
	missing := filepath.Join(dir, "none.toml")
	want := "open " + missing + ": no such file or directory"
	if _, err := read(t, "--config", missing); err == nil || err.Error() != want {
		t.Errorf("flag: got %v, want %s", err, want)
	}
	t.Setenv("KCMD_CONFIG", missing)
	if _, err := read(t); err == nil || err.Error() != want {
		t.Errorf("variable: got %v, want %s", err, want)
	}
	if _, err := read(t, "--config", ""); err == nil {
		t.Error("an empty name is accepted")
	}
}

func TestBadVariable(t *testing.T) {
	_, file := clean(t)
	for _, tt := range []struct{ name, value, want string }{
		{"KCMD_LOG_LEVEL", "loud", `KCMD_LOG_LEVEL: "loud" is not allowed; allowed: debug, info, warn, error`},
		{"KCMD_MAX_CONNECTIONS", "many", `KCMD_MAX_CONNECTIONS: "many" is not allowed; allowed: a whole number from 1 to 1000000`},
		{"KCMD_SOKCET", "/x", `KCMD_SOKCET: unknown variable; allowed: KCMD_CONFIG, KCMD_SOCKET, KCMD_STORE, KCMD_BUS, KCMD_ENCRYPTION_KEY, KCMD_SYNCHRONOUS, KCMD_CLIENT_TIMEOUT, KCMD_MAX_CONNECTIONS, KCMD_MAX_UID_CONNECTIONS, KCMD_MAX_UID_CACHES, KCMD_MAX_CACHE_TICKETS, KCMD_MAX_UID_BYTES, KCMD_MAX_BYTES, KCMD_DEFAULT_CACHE, KCMD_REAP_AFTER, KCMD_EXPIRY_WARNING, KCMD_RENEW, KCMD_RENEW_PARALLEL, KCMD_KDC_HELPER, KCMD_ACQUIRE, KCMD_LOGOUT, KCMD_SELINUX, KCMD_IDLE_TIMEOUT, KCMD_LOG_LEVEL`},
		{"KCMD_SESSION", "1", `KCMD_SESSION: unknown variable; allowed: KCMD_CONFIG, `},
	} {
		t.Run(tt.name, func(t *testing.T) {
			t.Setenv(tt.name, tt.value)
			_, err := read(t, "--config", file, "--log-level", "info")
			if err == nil || !strings.HasPrefix(err.Error(), tt.want) {
				t.Errorf("got %v, want %s", err, tt.want)
			}
		})
	}
}

func TestBadFlag(t *testing.T) {
	_, file := clean(t)
	long := "/" + strings.Repeat("x", maxSocketPath)
	for _, tt := range []struct{ flag, value, want string }{
		{"--socket", long, `--socket: "` + long + `" is not allowed; allowed: a path of at most 107 bytes without control characters`},
		{"--socket", "", `--socket: "" is not allowed; allowed: a path of at most 107 bytes without control characters`},
		{"--store", "keyring:", `store: "keyring:" is not allowed without --session: the kernel lets a process use the keyrings of its own user only; allowed: sqlite:PATH, memory:`},
		{"--store", "keyring:thread:x", `--store: "keyring:thread:x" is not allowed; allowed: sqlite:PATH of at most 480 bytes without control characters, memory:, keyring:, keyring:user:NAME, keyring:session:NAME`},
		{"--max-uid-connections", "1e3", `--max-uid-connections: "1e3" is not allowed; allowed: a whole number from 1 to 1000000`},
		{"--bus", "unix:", `--bus: "unix:" is not allowed; allowed: system, session, none, or the D-Bus address of a UNIX socket such as unix:path=/run/bus`},
	} {
		_, err := read(t, "--config", file, tt.flag, tt.value)
		if err == nil || err.Error() != tt.want {
			t.Errorf("%s %s:\n got %v\nwant %s", tt.flag, tt.value, err, tt.want)
		}
	}
	if _, err := read(t, "--config", file, "--socket", long[:maxSocketPath]); err != nil {
		t.Errorf("longest path: %v", err)
	}
}

// No broadcast on the system bus shows a user the tickets of others.
func TestBroadcasts(t *testing.T) {
	for _, tt := range []struct {
		session bool
		bus     string
		want    bool
	}{
		{false, "system", false},
		{true, "system", false},
		{false, "session", true},
		{true, "session", true},
		{false, "unix:path=/run/bus", false},
		{true, "unix:path=/run/bus", true},
	} {
		c := &config{session: tt.session, bus: tt.bus}
		if got := c.broadcasts(); got != tt.want {
			t.Errorf("session %v, bus %s: got %v, want %v", tt.session, tt.bus, got, tt.want)
		}
	}
}
