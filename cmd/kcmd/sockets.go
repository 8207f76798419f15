package main

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"strconv"

	"kcmd.org/kcmd/ccstore"
)

// A socketConfig configures a socket.
type socketConfig struct {
	path      string      // absolute
	namespace string      // of the collections of its clients
	mode      fs.FileMode // 0: the default
}

// Default modes of sockets. All users may connect to that of a machine: kcmd asks the
// kernel for the peer's user ID. A session is one user's.
const (
	everybody = 0o666
	ownerOnly = 0o600
)

func defaultSocket(path string) socketConfig {
	return socketConfig{path: path, namespace: ccstore.DefaultNamespace}
}

// setModes sets the modes that are not configured.
func (c *config) setModes() {
	mode := fs.FileMode(everybody)
	if c.session {
		mode = ownerOnly
	}
	for i := range c.sockets {
		if c.sockets[i].mode == 0 {
			c.sockets[i].mode = mode
		}
	}
}

// socketKeys are the keys of a [[socket]] table.
var socketKeys = map[string]struct {
	allowed string
	set     func(c *socketConfig, value string) bool
}{
	"path": {socketPathAllowed, func(c *socketConfig, s string) bool { return setSocketPath(&c.path, s) }},
	"namespace": {"up to 64 letters, digits, '.', '_' and '-'", func(c *socketConfig, s string) bool {
		c.namespace = s
		return namespaceForm.MatchString(s)
	}},
	"mode": {`an octal mode from "0600" to "0777"`, func(c *socketConfig, s string) bool {
		mode, err := strconv.ParseUint(s, 8, 32)
		c.mode = fs.FileMode(mode)
		return err == nil && modeForm.MatchString(s)
	}},
}

var (
	namespaceForm = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
	modeForm      = regexp.MustCompile(`^0[67][0-7][0-7]$`)
)

const socketPathAllowed = "a path of at most 107 bytes without control characters"

func setSocketPath(to *string, path string) (ok bool) {
	*to, ok = absolute(path)
	return ok && len(*to) <= maxSocketPath
}

// socketTables reads the [[socket]] tables of a file.
func socketTables(file string, tables []any) ([]socketConfig, error) {
	var list []socketConfig
	for i, value := range tables {
		where := fmt.Sprintf("%s: socket[%d]", file, i)
		table, ok := value.(map[string]any)
		if !ok {
			return nil, notAllowed(where, value, "a table [[socket]]")
		}
		c, err := socketTable(where, table)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(other socketConfig) bool { return other.path == c.path }) {
			return nil, fmt.Errorf("%s.path: %q is listed twice; allowed: each path once", where, c.path)
		}
		list = append(list, c)
	}
	return list, nil
}

func socketTable(where string, table map[string]any) (socketConfig, error) {
	c := defaultSocket("")
	for _, name := range slices.Sorted(maps.Keys(table)) {
		key, known := socketKeys[name]
		if !known {
			return c, fmt.Errorf("%s: unknown key %s; allowed: path, namespace, mode", where, quoted(name))
		}
		value, ok := table[name].(string)
		if !ok || !key.set(&c, value) {
			return c, notAllowed(where+"."+name, table[name], key.allowed)
		}
	}
	if c.path == "" {
		return c, fmt.Errorf("%s: path is missing; allowed: %s", where, socketPathAllowed)
	}
	return c, nil
}

// warnUnused logs the configured sockets that kcmd does not make, because systemd
// passed sockets.
func warnUnused(c *config, passed []*socket, log *slog.Logger) {
	if !c.socketTables {
		return
	}
	for _, s := range c.sockets {
		if !slices.ContainsFunc(passed, func(p *socket) bool { return p.path() == s.path }) {
			log.Warn("[[socket]] table not used: systemd passed the sockets; enable kcmd@NAMESPACE.socket in its place, or a socket unit with ListenStream=, Service=kcmd.service and FileDescriptorName=",
				"path", s.path, "namespace", s.namespace)
		}
	}
}
