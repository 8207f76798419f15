package main

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
)

// A config is what the daemon was told, all checked.
type config struct {
	session           bool // for one user, not for the machine
	sockets           []socketConfig
	socketAsked       bool   // sockets is not the default
	socketTables      bool   // sockets are those of [[socket]] tables
	store             string // sqlite:PATH with an absolute path, or memory:
	bus               string // system, session, none, or an address
	encryptionKey     string // where the key of the store is; "": it has none
	synchronous       string // full or normal
	clientTimeout     time.Duration
	maxConnections    int
	maxUIDConnections int
	limits            ccstore.Limits
	defaultFirst      bool
	reapAfter         time.Duration // 0: never
	expiryWarning     time.Duration
	selinux           bool // labels count, if the machine has them
	logLevel          slog.Level
}

// A setting is one thing that files, variables and flags can set.
type setting struct {
	key     string // in files; the variable and the flag are named after it
	value   string // default, "" where it depends on the mode
	word    string // what --help calls the value
	meaning string // for --help
	allowed string // for errors
	number  bool   // in a file it is a number and not a string

	// set puts a value into the config. It returns false, and the config is
	// not to be used, if the value is not allowed.
	set func(c *config, value string) bool
}

// settings is the table of contents of the configuration.
var settings = []setting{
	{
		key:     "socket",
		word:    "PATH",
		meaning: "path of the KCM socket",
		allowed: socketPathAllowed,
		set: func(c *config, s string) bool {
			c.sockets = []socketConfig{defaultSocket("")}
			return setSocketPath(&c.sockets[0].path, s)
		},
	},
	{
		key:     "store",
		word:    "STORE",
		meaning: "where tickets are kept: sqlite:PATH or memory:",
		allowed: fmt.Sprintf("sqlite:PATH of at most %d bytes without control characters, memory:", sqlite.MaxPath),
		set:     setStore,
	},
	{
		key:     "bus",
		word:    "BUS",
		meaning: "bus to appear on: system, session, none, or an address",
		allowed: "system, session, none, or the D-Bus address of a UNIX socket such as unix:path=/run/bus",
		set: func(c *config, s string) bool {
			c.bus = s
			return slices.Contains([]string{"system", "session", "none"}, s) || len(s) <= maxBusAddress && busAddress.MatchString(s)
		},
	},
	{
		key:     "encryption_key",
		word:    "KEY",
		meaning: "encrypts the tickets in the database: a systemd credential's name or a file",
		allowed: keyAllowed + `, or "" for none`,
		set: func(c *config, s string) bool {
			c.encryptionKey = s
			return s == "" || isKey(s)
		},
	},
	{
		key:     "synchronous",
		value:   "full",
		word:    "MODE",
		meaning: "full: a power cut loses nothing; normal: it may lose the last moments",
		allowed: "full, normal",
		set: func(c *config, s string) bool {
			c.synchronous = s
			return s == "full" || s == "normal"
		},
	},
	{
		key:     "client_timeout",
		value:   "30s",
		word:    "DURATION",
		meaning: "how long a request or a reply may stop half way",
		allowed: `a duration above 0 in units h, m, s or ms, such as "30s" (a day is "24h")`,
		set: func(c *config, s string) (ok bool) {
			c.clientTimeout, ok = duration(s)
			return ok && c.clientTimeout > 0
		},
	},
	{
		key:     "max_connections",
		value:   "4096",
		word:    "NUMBER",
		meaning: "connections of all users",
		allowed: "a whole number from 1 to 1000000",
		number:  true,
		set:     func(c *config, s string) bool { return count(&c.maxConnections, s) },
	},
	{
		key:     "max_uid_connections",
		value:   "256",
		word:    "NUMBER",
		meaning: "connections of one user",
		allowed: "a whole number from 1 to 1000000",
		number:  true,
		set:     func(c *config, s string) bool { return count(&c.maxUIDConnections, s) },
	},
	{
		key:     "max_uid_caches",
		value:   "256",
		word:    "NUMBER",
		meaning: "caches of one user, 0 for any number",
		allowed: "a whole number from 0 to 1000000",
		number:  true,
		set:     func(c *config, s string) bool { return limit(&c.limits.Caches, s) },
	},
	{
		key:     "max_cache_tickets",
		value:   "0",
		word:    "NUMBER",
		meaning: "tickets in one cache, 0 for any number",
		allowed: "a whole number from 0 to 1000000",
		number:  true,
		set:     func(c *config, s string) bool { return limit(&c.limits.Tickets, s) },
	},
	{
		key:     "max_uid_bytes",
		value:   "64MiB",
		word:    "SIZE",
		meaning: "what one user's tickets may take, 0 for any size",
		allowed: `a size such as "64MiB": a whole number, and KiB, MiB, GiB or nothing`,
		set: func(c *config, s string) (ok bool) {
			c.limits.Bytes, ok = size(s)
			return ok
		},
	},
	{
		key:     "default_cache",
		value:   "strict",
		word:    "MODE",
		meaning: "strict: a missing default cache is missing; first: another one takes its place",
		allowed: "strict, first",
		set: func(c *config, s string) bool {
			c.defaultFirst = s == "first"
			return s == "strict" || s == "first"
		},
	},
	{
		key:     "reap_after",
		value:   "24h",
		word:    "DURATION",
		meaning: "how long after its last ticket has ended a cache is kept, 0 for ever",
		allowed: `a duration from 0 in units h, m, s or ms, such as "24h" (a day is "24h")`,
		set: func(c *config, s string) (ok bool) {
			c.reapAfter, ok = duration(s)
			return ok && c.reapAfter >= 0
		},
	},
	{
		key:     "expiry_warning",
		value:   "10m",
		word:    "DURATION",
		meaning: "how long before its end a ticket counts as about to expire",
		allowed: `a duration from 0 in units h, m, s or ms, such as "10m" (a day is "24h")`,
		set: func(c *config, s string) (ok bool) {
			c.expiryWarning, ok = duration(s)
			return ok && c.expiryWarning >= 0
		},
	},
	{
		key:     "selinux",
		value:   "auto",
		word:    "MODE",
		meaning: "auto: SELinux labels keep caches apart where there are any; off: they do not count",
		allowed: "auto, off",
		set: func(c *config, s string) bool {
			c.selinux = s == "auto"
			return s == "auto" || s == "off"
		},
	},
	{
		key:     "log_level",
		value:   "info",
		word:    "LEVEL",
		meaning: "how much is logged: debug, info, warn, error",
		allowed: "debug, info, warn, error",
		set: func(c *config, s string) (ok bool) {
			c.logLevel, ok = levels[s]
			return ok
		},
	},
}

// variable returns the name of the environment variable of s.
func (s *setting) variable() string { return "KCMD_" + strings.ToUpper(s.key) }

// flag returns the name of the command line flag of s, without dashes.
func (s *setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

// findSetting returns the setting with a key, nil if there is none.
func findSetting(key string) *setting {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return &settings[i]
}

// maxSocketPath is what fits into the kernel's sockaddr_un with the NUL at its
// end, without which not every program can use the path.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

var levels = map[string]slog.Level{
	"debug": slog.LevelDebug,
	"info":  slog.LevelInfo,
	"warn":  slog.LevelWarn,
	"error": slog.LevelError,
}

// busAddress is the form of a D-Bus address, or of a list of them: of UNIX
// sockets only, since other transports do not say which user calls.
var busAddress = regexp.MustCompile(`^unix:[!-:<-~]*(path|abstract)=[!-:<-~]+(;unix:[!-:<-~]*(path|abstract)=[!-:<-~]+)*$`)

// maxBusAddress leaves room for a list of addresses.
const maxBusAddress = 4096

const (
	sqliteStore = "sqlite:"
	memoryStore = "memory:"
)

func setStore(c *config, s string) bool {
	if path, ok := strings.CutPrefix(s, sqliteStore); ok {
		path, ok = absolute(path)
		c.store = sqliteStore + path
		return ok && len(path) <= sqlite.MaxPath
	}
	c.store = s
	return s == memoryStore
}

// absolute returns the absolute form of a path: what it is relative to must
// not change between reading and using it. No path holds a NUL; other control
// characters would break the lines that name it.
func absolute(path string) (string, bool) {
	if path == "" || strings.ContainsFunc(path, unicode.IsControl) {
		return "", false
	}
	path, err := filepath.Abs(path)
	return path, err == nil
}

func duration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil
}

// limit reads a number of which 0 means none.
func limit(n *int, s string) bool {
	i, err := strconv.Atoi(s)
	*n = i
	return err == nil && 0 <= i && i <= 1_000_000
}

// count reads a number of what there must be at least one of.
func count(n *int, s string) bool { return limit(n, s) && *n > 0 }

// size reads a number of bytes.
func size(s string) (int64, bool) {
	factor := int64(1)
	for suffix, f := range map[string]int64{"KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30} {
		if number, ok := strings.CutSuffix(s, suffix); ok {
			s, factor = number, f
		}
	}
	n, err := strconv.ParseInt(s, 10, 64)
	const most = 1 << 40
	if err != nil || n < 0 || n > most/factor {
		return 0, false
	}
	return n * factor, true
}
