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

// A config is the checked configuration of the daemon.
type config struct {
	session           bool // for one user, not for the machine
	sockets           []socketConfig
	socketAsked       bool   // sockets is not the default
	socketTables      bool   // sockets come from [[socket]] tables
	store             string // sqlite:PATH with an absolute path, memory:, or keyring: with a collection
	bus               string // system, session, none, or an address
	encryptionKey     string // systemd credential or file with the key of the store; "": no key
	synchronous       string // full or normal
	clientTimeout     time.Duration
	maxConnections    int
	maxUIDConnections int
	limits            ccstore.Limits
	autoBytes         bool // limits.Whole depends on the store
	defaultFirst      bool
	reapAfter         time.Duration // 0: never
	expiryWarning     time.Duration
	renew             string // yes, active or no
	renewParallel     int
	kdcHelper         string // auto, child, none, or the path of a socket
	acquire           string // auto, yes or no
	keep              []keepConfig
	destroyAtLogout   bool
	selinux           bool          // use SELinux labels, if the machine has them
	idleTimeout       time.Duration // 0: never
	logLevel          slog.Level

	values map[string]string // of the settings, by key
}

// A setting is one entry of the configuration, which a file, a variable or a flag
// can set.
type setting struct {
	key     string // in files; the names of the variable and the flag follow from it
	value   string // default, "" if it depends on the mode
	word    string // name of the value in --help
	meaning string // for --help
	allowed string // for errors
	number  bool   // a number in files, not a string

	// set stores a value in c. It returns false for a value that is not allowed;
	// c is not to be used then.
	set func(c *config, value string) bool
}

// settings lists all settings in the order of --help.
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
		meaning: "where to store tickets: sqlite:PATH, memory: or keyring:",
		allowed: fmt.Sprintf("sqlite:PATH of at most %d bytes without control characters, memory:, keyring:, keyring:user:NAME, keyring:session:NAME", sqlite.MaxPath),
		set:     setStore,
	},
	{
		key:     "bus",
		word:    "BUS",
		meaning: "message bus to connect to: system, session, none, or an address",
		allowed: "system, session, none, or the D-Bus address of a UNIX socket such as unix:path=/run/bus",
		set: func(c *config, s string) bool {
			c.bus = s
			return slices.Contains([]string{"system", "session", "none"}, s) || len(s) <= maxBusAddress && busAddress.MatchString(s)
		},
	},
	{
		key:     "encryption_key",
		word:    "KEY",
		meaning: "encrypt the tickets in the database: name of a systemd credential, or a file",
		allowed: keyAllowed + `, or "" for none`,
		set: func(c *config, s string) bool {
			c.encryptionKey = s
			return s == "" || isKey(s)
		},
	},
	choice("synchronous", "full", "MODE", "full: a power cut loses nothing; normal: it may lose the last changes",
		func(c *config, s string) { c.synchronous = s }, "full", "normal"),
	duration("client_timeout", "30s", "how long a request or a reply may be incomplete", 1,
		func(c *config) *time.Duration { return &c.clientTimeout }),
	number("max_connections", "4096", "connections of all users", 1,
		func(c *config) *int { return &c.maxConnections }),
	number("max_uid_connections", "256", "connections of one user", 1,
		func(c *config) *int { return &c.maxUIDConnections }),
	number("max_uid_caches", "256", "caches of one user, 0 for no limit", 0,
		func(c *config) *int { return &c.limits.Caches }),
	number("max_cache_tickets", "0", "tickets in one cache, 0 for no limit", 0,
		func(c *config) *int { return &c.limits.Tickets }),
	{
		key:     "max_uid_bytes",
		value:   "64MiB",
		word:    "SIZE",
		meaning: "memory that one user's caches take, 0 for no limit",
		allowed: `a size such as "64MiB": a whole number, and KiB, MiB, GiB or nothing`,
		set: func(c *config, s string) (ok bool) {
			c.limits.Bytes, ok = size(s)
			return ok
		},
	},
	{
		key:     "max_bytes",
		value:   "auto",
		word:    "SIZE",
		meaning: "bytes that the store keeps for all users, 0 for no limit; auto: 4GiB, in memory 256MiB",
		allowed: `auto, or a size such as "4GiB": a whole number, and KiB, MiB, GiB or nothing`,
		set: func(c *config, s string) (ok bool) {
			if c.autoBytes = s == "auto"; c.autoBytes {
				return true
			}
			c.limits.Whole, ok = size(s)
			return ok
		},
	},
	choice("default_cache", "strict", "MODE", "strict: a missing default cache is missing; first: another cache replaces it",
		func(c *config, s string) { c.defaultFirst = s == "first" }, "strict", "first"),
	duration("reap_after", "24h", "how long to keep a cache after its last ticket has ended, 0 for ever", 0,
		func(c *config) *time.Duration { return &c.reapAfter }),
	duration("expiry_warning", "10m", "how long before its end a ticket is shown as expiring", 0,
		func(c *config) *time.Duration { return &c.expiryWarning }),
	choice("renew", renewActive, "MODE", "renew tickets by themselves: yes; active: of users with a session or a process; no",
		func(c *config, s string) { c.renew = s }, renewAll, renewActive, renewNone),
	bounded("renew_parallel", "4", "tickets renewed at once", 1, maxParallel,
		func(c *config) *int { return &c.renewParallel }),
	{
		key:     "kdc_helper",
		value:   helperAuto,
		word:    "WAY",
		meaning: "what talks to KDCs: auto, child (a process of kcmd), none, or the socket of a unit",
		allowed: "auto, child, none, or an absolute path of at most 107 bytes without control characters",
		set: func(c *config, s string) bool {
			c.kdcHelper = s
			path, ok := absolute(s)
			return slices.Contains([]string{helperAuto, helperChild, helperNone}, s) || ok && path == s && len(s) <= maxSocketPath
		},
	},
	choice("acquire", acquireAuto, "MODE", "take passwords and keytabs on D-Bus to get tickets: yes; no; auto: on the bus of one user",
		func(c *config, s string) { c.acquire = s }, acquireAuto, acquireYes, acquireNo),
	choice("logout", "keep", "MODE", "destroy: the caches of a user go when logind says that the last session ended; keep: they stay",
		func(c *config, s string) { c.destroyAtLogout = s == "destroy" }, "keep", "destroy"),
	choice("selinux", "auto", "MODE", "auto: SELinux labels separate the caches of a user; off: labels are ignored",
		func(c *config, s string) { c.selinux = s == "auto" }, "auto", "off"),
	{
		key:     "idle_timeout",
		value:   "0",
		word:    "DURATION",
		meaning: "end after so long without clients, until systemd starts kcmd for the next one; 0: never",
		allowed: fmt.Sprintf(`0, or a duration from %v in units h, m, s or ms, such as "10m"`, leastIdle),
		set: func(c *config, s string) bool {
			d, err := time.ParseDuration(s)
			c.idleTimeout = d
			return err == nil && (d == 0 || d >= leastIdle)
		},
	},
	choice("log_level", "info", "LEVEL", "what to log: debug, info, warn, error",
		func(c *config, s string) { _ = c.logLevel.UnmarshalText([]byte(s)) }, "debug", "info", "warn", "error"),
}

// choice returns a setting that allows the listed values.
func choice(key, value, word, meaning string, set func(*config, string), values ...string) setting {
	return setting{
		key: key, value: value, word: word, meaning: meaning, allowed: strings.Join(values, ", "),
		set: func(c *config, s string) bool {
			set(c, s)
			return slices.Contains(values, s)
		},
	}
}

// maxParallel is how many requests to KDCs may be under way: kcmd-kdc.socket accepts a few
// more connections.
const maxParallel = 32

// number returns a setting for a whole number that is not below least.
func number(key, value, meaning string, least int, field func(*config) *int) setting {
	return bounded(key, value, meaning, least, 1_000_000, field)
}

// bounded returns a setting for a whole number from least to most.
func bounded(key, value, meaning string, least, most int, field func(*config) *int) setting {
	return setting{
		key: key, value: value, word: "NUMBER", meaning: meaning, number: true,
		allowed: fmt.Sprintf("a whole number from %d to %d", least, most),
		set: func(c *config, s string) bool {
			n, err := strconv.Atoi(s)
			*field(c) = n
			return err == nil && least <= n && n <= most
		},
	}
}

// duration returns a setting for a duration that is not below least: 0, or 1 ns for
// a duration above 0.
func duration(key, value, meaning string, least time.Duration, field func(*config) *time.Duration) setting {
	from := "from"
	if least > 0 {
		from = "above"
	}
	return setting{
		key: key, value: value, word: "DURATION", meaning: meaning,
		allowed: fmt.Sprintf(`a duration %s 0 in units h, m, s or ms, such as %q (a day is "24h")`, from, value),
		set: func(c *config, s string) bool {
			d, err := time.ParseDuration(s)
			*field(c) = d
			return err == nil && d >= least
		},
	}
}

// variable returns the name of the environment variable of s.
func (s *setting) variable() string { return "KCMD_" + strings.ToUpper(s.key) }

// flag returns the name of the command line flag of s, without dashes.
func (s *setting) flag() string { return strings.ReplaceAll(s.key, "_", "-") }

// findSetting returns the setting with a key, nil for an unknown key.
func findSetting(key string) *setting {
	i := slices.IndexFunc(settings, func(s setting) bool { return s.key == key })
	if i < 0 {
		return nil
	}
	return &settings[i]
}

// maxSocketPath is the longest path in a sockaddr_un with a NUL at its end, which
// some programs need.
const maxSocketPath = len(unix.RawSockaddrUnix{}.Path) - 1

// busAddress is the form of a list of D-Bus addresses of UNIX sockets. Other
// transports do not show the user ID of a caller.
var busAddress = regexp.MustCompile(`^unix:[!-:<-~]*(path|abstract)=[!-:<-~]+(;unix:[!-:<-~]*(path|abstract)=[!-:<-~]+)*$`)

// maxBusAddress leaves room for a list of addresses.
const maxBusAddress = 4096

const (
	sqliteStore  = "sqlite:"
	memoryStore  = "memory:"
	keyringStore = "keyring:"
)

func setStore(c *config, s string) bool {
	if path, ok := strings.CutPrefix(s, sqliteStore); ok {
		path, ok = absolute(path)
		c.store = sqliteStore + path
		return ok && len(path) <= sqlite.MaxPath
	}
	c.store = s
	if name, ok := strings.CutPrefix(s, keyringStore); ok {
		_, err := keyringName(name)
		return err == nil && !strings.ContainsFunc(name, unicode.IsControl)
	}
	return s == memoryStore
}

// absolute returns the absolute form of a path, which does not depend on a later
// working directory. It refuses control characters: no path can contain NUL, and
// the others would break the lines that name the path.
func absolute(path string) (string, bool) {
	if path == "" || strings.ContainsFunc(path, unicode.IsControl) {
		return "", false
	}
	path, err := filepath.Abs(path)
	return path, err == nil
}

// size parses a number of bytes.
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
