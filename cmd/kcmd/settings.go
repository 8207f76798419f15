package main

import (
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A config is what the daemon was told, all checked.
type config struct {
	session           bool // for one user, not for the machine
	sockets           []socketConfig
	socketAsked       bool   // sockets is not the default
	store             string // sqlite:PATH with an absolute path, or memory:
	bus               string // system, session, none, or an address
	synchronous       string // full or normal
	clientTimeout     time.Duration
	maxConnections    int
	maxUIDConnections int
	defaultFirst      bool
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
		allowed: "sqlite:PATH, memory:",
		set:     setStore,
	},
	{
		key:     "bus",
		word:    "BUS",
		meaning: "bus to appear on: system, session, none, or an address",
		allowed: "system, session, none, or a D-Bus address such as unix:path=/run/bus",
		set: func(c *config, s string) bool {
			c.bus = s
			return slices.Contains([]string{"system", "session", "none"}, s) || busAddress.MatchString(s)
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
		allowed: `a duration above 0, such as "30s"`,
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
		key:     "expiry_warning",
		value:   "10m",
		word:    "DURATION",
		meaning: "how long before its end a ticket counts as about to expire",
		allowed: `a duration from 0, such as "10m"`,
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

// busAddress is the form of a D-Bus address: a transport, a colon, and its
// keys with their values. Whether it leads to a bus is seen when it is used.
var busAddress = regexp.MustCompile(`^[a-z][a-z0-9+-]*:[a-z]+=.`)

const (
	sqliteStore = "sqlite:"
	memoryStore = "memory:"
)

func setStore(c *config, s string) bool {
	if path, ok := strings.CutPrefix(s, sqliteStore); ok {
		path, ok = absolute(path)
		c.store = sqliteStore + path
		return ok
	}
	c.store = s
	return s == memoryStore
}

// absolute returns the absolute form of a path: what it is relative to must
// not change between reading and using it. No path holds a NUL.
func absolute(path string) (string, bool) {
	if path == "" || strings.ContainsRune(path, 0) {
		return "", false
	}
	path, err := filepath.Abs(path)
	return path, err == nil
}

func duration(s string) (time.Duration, bool) {
	d, err := time.ParseDuration(s)
	return d, err == nil
}

func count(n *int, s string) bool {
	i, err := strconv.Atoi(s)
	*n = i
	return err == nil && 1 <= i && i <= 1_000_000
}
