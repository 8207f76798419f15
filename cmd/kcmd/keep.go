package main

import (
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/lifecycle"
	"kcmd.org/kcmd/private"
)

// A keepConfig configures a cache that is kept filled from a keytab.
type keepConfig struct {
	principal string
	keytab    string // systemd credential or file
	owner     uint32
	cache     string // name; "" is the owner's first
}

// keepKeys are the keys of a [[keep]] table. All but cache are needed.
var keepKeys = map[string]struct {
	allowed string
	set     func(c *keepConfig, value string) bool
}{
	"principal": {"a principal such as batch@EXAMPLE.COM of at most 1024 bytes", func(c *keepConfig, s string) bool {
		c.principal = s
		return isPlain(s, 1024) && !strings.HasPrefix(s, "-")
	}},
	"keytab": {keyAllowed, func(c *keepConfig, s string) bool {
		c.keytab = s
		return isKey(s)
	}},
	"owner": {"the name of a user in /etc/passwd, or the uid of any user (id -u NAME)", func(c *keepConfig, s string) (ok bool) {
		c.owner, ok = lookUpUser(s)
		return ok
	}},
	"cache": {`a name such as "1000:batch" of at most 255 bytes, without KCM:`, func(c *keepConfig, s string) bool {
		c.cache = s
		return isPlain(s, 255) && !strings.HasPrefix(s, "KCM:")
	}},
}

// isPlain reports whether s has from one to most bytes and no control characters.
func isPlain(s string, most int) bool {
	return s != "" && len(s) <= most && !strings.ContainsFunc(s, unicode.IsControl)
}

// lookUpUser returns the uid of a user.
func lookUpUser(s string) (uint32, bool) {
	if uid, err := strconv.ParseUint(s, 10, 32); err == nil && uid < math.MaxUint32 {
		return uint32(uid), true
	}
	u, err := user.Lookup(s)
	if err != nil {
		return 0, false
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	return uint32(uid), err == nil
}

// keepTables reads the [[keep]] tables of a file and adds them to those of others.
func keepTables(file string, tables []any, list []keepConfig) ([]keepConfig, error) {
	for i, value := range tables {
		where := fmt.Sprintf("%s: keep[%d]", file, i)
		table, ok := value.(map[string]any)
		if !ok {
			return nil, notAllowed(where, value, "a table [[keep]]")
		}
		c, err := keepTable(where, table)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, func(other keepConfig) bool { return other.owner == c.owner && other.cache == c.cache }) {
			return nil, fmt.Errorf("%s: the cache %q of uid %d is listed twice; allowed: each cache once", where, c.cache, c.owner)
		}
		list = append(list, c)
	}
	return list, nil
}

func keepTable(where string, table map[string]any) (keepConfig, error) {
	var c keepConfig
	for _, name := range slices.Sorted(maps.Keys(table)) {
		key, known := keepKeys[name]
		if !known {
			return c, fmt.Errorf("%s: unknown key %s; allowed: principal, keytab, owner, cache", where, quoted(name))
		}
		value, ok := table[name].(string)
		if n, isNumber := table[name].(int64); isNumber && name == "owner" {
			value, ok = strconv.FormatInt(n, 10), true
		}
		if !ok || !key.set(&c, value) {
			return c, notAllowed(where+"."+name, table[name], key.allowed)
		}
	}
	for _, name := range []string{"principal", "keytab", "owner"} {
		if _, ok := table[name]; !ok {
			return c, fmt.Errorf("%s: %s is missing; allowed: %s", where, name, keepKeys[name].allowed)
		}
	}
	if c.cache == "" {
		c.cache = strconv.FormatUint(uint64(c.owner), 10)
	}
	return c, nil
}

// newKeeper returns the part that keeps caches filled from keytabs.
func (d *daemon) newKeeper() *lifecycle.Keeper {
	return lifecycle.NewKeeper(d.desk, d.keptCaches(), d.log)
}

// warnKept logs that nothing can be kept without a way to a KDC.
func (d *daemon) warnKept() {
	if len(d.keep) > 0 && d.desk == nil {
		d.log.Error("cannot keep caches filled from keytabs: there is no way to a KDC")
	}
}

// keptCaches returns the caches of the [[keep]] tables.
func (d *daemon) keptCaches() (list []lifecycle.Kept) {
	for _, c := range d.keep {
		list = append(list, lifecycle.Kept{
			Owner: ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: c.owner},
			Cache: c.cache, Principal: c.principal, Keytab: func() ([]byte, error) { return loadKeytab(c.keytab) },
		})
	}
	return list
}

// maxKeytab bounds the size of a keytab, in bytes.
const maxKeytab = 64 << 10

// loadKeytab reads a keytab: a systemd credential, or a file that is closed to others.
func loadKeytab(name string) ([]byte, error) {
	path, others := name, os.FileMode(0o077)
	if !filepath.IsAbs(name) {
		dir := os.Getenv("CREDENTIALS_DIRECTORY")
		if dir == "" {
			return nil, errors.New("systemd has passed no credentials (CREDENTIALS_DIRECTORY is not set); see LoadCredential= in systemd.exec(5)")
		}
		path, others = filepath.Join(dir, name), 0o007 // systemd gives access by an ACL
	}
	f, err := os.OpenFile(path, os.O_RDONLY|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if err := private.CheckFile(f, others, 0, os.Geteuid()); err != nil {
		return nil, fmt.Errorf("keytab %s: %w", path, err)
	}
	b := make([]byte, maxKeytab+1)
	n, err := io.ReadFull(f, b)
	switch {
	case err == nil:
		clear(b)
		return nil, fmt.Errorf("keytab %s has more than %d bytes", path, maxKeytab)
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, err
	}
	return b[:n], nil
}
