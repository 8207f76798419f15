package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/pelletier/go-toml/v2"
	"github.com/spf13/pflag"
	"golang.org/x/sys/unix"
)

// readConfig reads the configuration from the file, the files in kcmd.conf.d beside
// it, the variables and the flags. The later source takes precedence, but all values
// are checked.
func readConfig(flags *pflag.FlagSet) (*config, error) {
	c := new(config)
	c.session, _ = flags.GetBool("session")
	c.values = defaults(c.session)
	fromFiles := &files{values: c.values}
	if err := fromFiles.merge(flags, c.session); err != nil {
		return nil, err
	}
	if err := mergeVariables(c.values); err != nil {
		return nil, err
	}
	if err := mergeFlags(c.values, flags); err != nil {
		return nil, err
	}
	for _, s := range settings {
		value := c.values[s.key]
		if value == "" && needed[s.key] != "" {
			return nil, noDefault(&s)
		}
		if !s.set(c, value) {
			return nil, notAllowed("default: "+s.key, value, s.allowed)
		}
	}
	if strings.HasPrefix(c.store, keyringStore) && !c.session {
		return nil, fmt.Errorf("store: %q is not allowed without --session: the kernel lets a process use the keyrings of its own user only; allowed: sqlite:PATH, memory:", c.store)
	}
	c.socketAsked = fromFiles.sockets != nil || c.values["socket"] != defaults(c.session)["socket"]
	if fromFiles.sockets != nil && os.Getenv("KCMD_SOCKET") == "" && !flags.Changed("socket") {
		c.sockets, c.socketTables = fromFiles.sockets, true
	}
	c.keep = fromFiles.keep
	c.setModes()
	return c, nil
}

// defaultConfig returns the configuration without files, variables and flags. It
// leaves out settings without a default in this environment.
func defaultConfig(session bool) *config {
	c := &config{session: session}
	values := defaults(session)
	for _, s := range settings {
		s.set(c, values[s.key])
	}
	return c
}

// defaults returns the default of each setting.
func defaults(session bool) map[string]string {
	d := make(map[string]string)
	for _, s := range settings {
		d[s.key] = s.value
	}
	if !session {
		d["socket"] = systemSocket
		d["store"] = "sqlite:/var/lib/kcmd/kcmd.db"
		d["bus"] = "system"
		return d
	}
	if dir := userDir("XDG_RUNTIME_DIR", ""); dir != "" {
		d["socket"] = filepath.Join(dir, "kcmd/kcm.sock")
	}
	if dir := userDir("XDG_STATE_HOME", ".local/state"); dir != "" {
		d["store"] = sqliteStore + filepath.Join(dir, "kcmd/kcmd.db")
	}
	d["bus"] = "session"
	return d
}

// noDefault returns the error for a setting without a default in this environment.
func noDefault(s *setting) error {
	for variable := range strings.SplitSeq(needed[s.key], " or ") {
		if value := os.Getenv(variable); value != "" {
			return fmt.Errorf("%s: no default, because %s=%s is not an absolute path; change it or give --%s", s.key, variable, quoted(value), s.flag())
		}
	}
	return fmt.Errorf("%s: no default, because %s is not set; set it or give --%s", s.key, needed[s.key], s.flag())
}

// needed lists the variables from which the defaults of the session follow.
var needed = map[string]string{"socket": "XDG_RUNTIME_DIR", "store": "XDG_STATE_HOME or HOME"}

// userDir returns the directory that an XDG variable names, or its default in the home
// directory, or "". It ignores relative paths, as the XDG specification requires.
func userDir(variable, inHome string) string {
	if dir := os.Getenv(variable); filepath.IsAbs(dir) {
		return dir
	}
	if home := os.Getenv("HOME"); filepath.IsAbs(home) && inHome != "" {
		return filepath.Join(home, inHome)
	}
	return ""
}

// files merges the configuration files.
type files struct {
	values  map[string]string
	sockets []socketConfig // of the last file with [[socket]] tables; nil if a later file sets socket
	keep    []keepConfig   // of all files
}

// merge adds the configuration file and those in kcmd.conf.d.
func (f *files) merge(flags *pflag.FlagSet, session bool) error {
	path, asked := configFile(flags, session)
	if path == "" && !asked {
		return nil
	}
	if _, ok := absolute(path); !ok || len(path) >= unix.PathMax {
		return fmt.Errorf("configuration file %s is not allowed; allowed: a path of at most %d bytes without control characters", quoted(path), unix.PathMax-1)
	}
	err := f.mergeFile(path)
	if err != nil && (asked || !errors.Is(err, os.ErrNotExist)) {
		return err
	}
	dir := filepath.Join(filepath.Dir(path), "kcmd.conf.d")
	entries, err := os.ReadDir(dir) // in the order of their names
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	for _, e := range entries {
		// Hidden files are those of editors.
		if strings.HasSuffix(e.Name(), ".toml") && !strings.HasPrefix(e.Name(), ".") {
			if err := f.mergeFile(filepath.Join(dir, e.Name())); err != nil {
				return err
			}
		}
	}
	return nil
}

// configFile returns the path of the configuration file, "" for none, and whether a
// flag or a variable names it, so that it must exist.
func configFile(flags *pflag.FlagSet, session bool) (path string, asked bool) {
	if path, _ := flags.GetString("config"); flags.Changed("config") {
		return path, true
	}
	if path := os.Getenv("KCMD_CONFIG"); path != "" {
		return path, true
	}
	if !session {
		return "/etc/kcmd/kcmd.toml", false
	}
	dir := userDir("XDG_CONFIG_HOME", ".config")
	if dir == "" {
		return "", false
	}
	return filepath.Join(dir, "kcmd/kcmd.toml"), false
}

// mergeFile adds one file.
func (f *files) mergeFile(path string) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	values := make(map[string]any)
	if err := toml.Unmarshal(data, &values); err != nil {
		return syntaxError(path, err)
	}
	for _, key := range slices.Sorted(maps.Keys(values)) {
		s := findSetting(key)
		if tables, ok := values[key].([]any); ok && key == "socket" {
			if f.sockets, err = socketTables(path, tables); err != nil {
				return err
			}
			continue
		}
		if tables, ok := values[key].([]any); ok && key == "keep" {
			if f.keep, err = keepTables(path, tables, f.keep); err != nil {
				return err
			}
			continue
		}
		if key == "socket" {
			f.sockets = nil
		}
		if s == nil {
			return unknown(path+": unknown key "+quoted(key), func(s *setting) string { return s.key })
		}
		if !s.allows(values[key]) {
			return notAllowed(path+": "+key, values[key], s.allowed)
		}
		f.values[key] = fmt.Sprint(values[key])
	}
	return nil
}

// allows reports whether a value of a file is allowed.
func (s *setting) allows(value any) bool {
	switch value := value.(type) {
	case string:
		return !s.number && s.set(new(config), value)
	case int64:
		return s.number && s.set(new(config), strconv.FormatInt(value, 10))
	default:
		return false
	}
}

// tomlText formats a value of a file for an error.
func tomlText(value any) string {
	switch value := value.(type) {
	case string:
		return quoted(value)
	case map[string]any:
		return "a table"
	case []any:
		return "an array"
	default:
		return fmt.Sprint(value)
	}
}

// quoted formats a value for an error.
func quoted(s string) string {
	if len(s) <= maxShown {
		return strconv.Quote(s)
	}
	return fmt.Sprintf("%q... (%d bytes)", s[:maxShown/2], len(s))
}

// plain formats a name for an error, without quotes if possible.
func plain(name string) string {
	if len(name) > maxShown || strings.ContainsFunc(name, unicode.IsControl) {
		return quoted(name)
	}
	return name
}

// maxShown is the longest value, in bytes, that an error shows in full.
const maxShown = 200

// syntaxError adds the position in the file to an error.
func syntaxError(path string, err error) error {
	var at interface{ Position() (line, column int) }
	if errors.As(err, &at) {
		line, column := at.Position()
		return fmt.Errorf("%s:%d:%d: %w", path, line, column, err)
	}
	return fmt.Errorf("%s: %w", path, err)
}

// mergeVariables adds the KCMD_ variables. An empty variable is not set: some programs
// pass on a variable that they do not have as an empty one.
func mergeVariables(values map[string]string) error {
	known := map[string]*setting{"KCMD_CONFIG": nil}
	for _, name := range clockVariables {
		known[name] = nil
	}
	for i := range settings {
		s := &settings[i]
		known[s.variable()] = s
	}
	for _, entry := range slices.Sorted(slices.Values(os.Environ())) {
		name, value, _ := strings.Cut(entry, "=")
		if !strings.HasPrefix(name, "KCMD_") {
			continue
		}
		s, ok := known[name]
		if !ok {
			return unknown(plain(name)+": unknown variable", (*setting).variable, "KCMD_CONFIG")
		}
		if s == nil || value == "" {
			continue
		}
		if !s.set(new(config), value) {
			return notAllowed(name, value, s.allowed)
		}
		values[s.key] = value
	}
	return nil
}

// mergeFlags adds the given flags.
func mergeFlags(values map[string]string, flags *pflag.FlagSet) error {
	for i := range settings {
		s := &settings[i]
		f := flags.Lookup(s.flag())
		if f == nil || !f.Changed { // some commands have only some flags
			continue
		}
		value := f.Value.String()
		if !s.set(new(config), value) {
			return notAllowed("--"+s.flag(), value, s.allowed)
		}
		values[s.key] = value
	}
	return nil
}

// notAllowed returns the error for a value. If it is the relative path of a socket
// whose absolute path is too long, the error shows that path.
func notAllowed(origin string, value any, allowed string) error {
	err := fmt.Errorf("%s: %s is not allowed; allowed: %s", origin, tomlText(value), allowed)
	path, _ := value.(string)
	whole, ok := absolute(path)
	if allowed != socketPathAllowed || !ok || len(path) > maxSocketPath || len(whole) <= maxSocketPath {
		return err
	}
	return fmt.Errorf("%w; its absolute path %s has %d bytes", err, plain(whole), len(whole))
}

// unknown returns the error for an unknown name of a setting.
func unknown(what string, name func(*setting) string, more ...string) error {
	names := more
	for i := range settings {
		names = append(names, name(&settings[i]))
	}
	return fmt.Errorf("%s; allowed: %s", what, strings.Join(names, ", "))
}
