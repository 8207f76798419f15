package ccsssd

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Cache is one of a user. It has Contents or an Err.
type Cache struct {
	*ccache.Contents
	Name    string
	Default bool
	Err     error
}

// MaxSize bounds the size of a database that Open reads, in bytes.
const MaxSize = 256 << 20

// Open reads the database, which only root and sssd can. It takes no lock: stop sssd_kcm
// first. It returns the caches of each user.
func Open(path string) (map[uint32][]Cache, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	before, err := f.Stat()
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(f, MaxSize+1))
	if err != nil {
		return nil, err
	}
	after, err := f.Stat()
	switch {
	case err != nil:
		return nil, err
	case len(b) > MaxSize:
		return nil, fmt.Errorf("%s has more than %d bytes", path, MaxSize)
	case before.ModTime() != after.ModTime() || before.Size() != after.Size():
		return nil, fmt.Errorf("%s changes while it is read; stop sssd_kcm first", path)
	}
	users, err := Parse(b)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return users, nil
}

// Parse decodes a database. A cache that cannot be decoded has an Err.
func Parse(b []byte) (map[uint32][]Cache, error) {
	users := make(map[uint32][]Cache)
	uuids := make(map[uint32][]string)
	standard := make(map[uint32]string) // the UUIDs of the default caches
	err := records(b, func(key, data []byte) error {
		if !bytes.HasPrefix(key, []byte("DN=CN=")) {
			return nil
		}
		r, err := unpack(data)
		if err != nil || r.secret == nil {
			return err
		}
		name, kind, uid, ok := parseDN(r.dn)
		switch {
		case !ok:
		case kind == "":
			standard[uid] = string(bytes.TrimRight(r.secret, "\x00"))
		case len(name) > uuidLen && name[uuidLen] == '-':
			c := Cache{Name: name[uuidLen+1:]}
			c.Contents, c.Err = parseCache(r.secret)
			users[uid], uuids[uid] = append(users[uid], c), append(uuids[uid], name[:uuidLen])
		}
		return nil
	})
	for uid, list := range users {
		for i := range list {
			list[i].Default = uuids[uid][i] == standard[uid]
		}
	}
	return users, err
}

// uuidLen is the length of a UUID in hexadecimal digits and dashes.
const uuidLen = 36

// parseDN parses cn=UUID-NAME,cn=ccache,cn=UID,cn=persistent,cn=kcm, the name of a cache,
// or cn=default,cn=UID,cn=persistent,cn=kcm, for which kind is "".
func parseDN(dn string) (name, kind string, uid uint32, ok bool) {
	rest, ok := strings.CutSuffix(dn, ",cn=persistent,cn=kcm")
	if !ok {
		return "", "", 0, false
	}
	i := strings.LastIndex(rest, ",cn=")
	if i < 0 {
		return "", "", 0, false
	}
	n, err := strconv.ParseUint(rest[i+len(",cn="):], 10, 32)
	if err != nil {
		return "", "", 0, false
	}
	rest = rest[:i]
	if rest == "cn=default" {
		return "", "", uint32(n), true
	}
	name, ok = strings.CutSuffix(rest, ",cn=ccache")
	name, found := strings.CutPrefix(name, "cn=")
	return name, "ccache", uint32(n), ok && found
}

// parseCache decodes the secret of a cache. sssd_kcm turns the order of the credentials
// round each time it reads them.
func parseCache(b []byte) (*ccache.Contents, error) {
	p := &packed{b: b}
	c := &ccache.Contents{KDCOffset: int32(p.native())}
	if has := p.take(1); has == nil || has[0] == 0 {
		return nil, fmt.Errorf("%w: it has no principal", ccache.ErrFormat)
	}
	principal := ccache.Principal{Realm: string(p.take(p.native())), NameType: int32(p.native())}
	n := p.native()
	if n > ccache.MaxComponents {
		return nil, fmt.Errorf("%w: its principal has %d components", ccache.ErrFormat, n)
	}
	for ; n > 0 && !p.short; n-- {
		principal.Components = append(principal.Components, string(p.take(p.native())))
	}
	c.Principal = principal
	for n = p.native(); n > 0 && !p.short; n-- {
		p.take(16) // UUID
		blob := p.take(p.native())
		if p.short {
			break
		}
		cred, err := ccache.ParseCredential(blob)
		if err != nil {
			return nil, err
		}
		c.Credentials = append(c.Credentials, cred)
	}
	if p.short {
		return nil, fmt.Errorf("%w: it ends too early", ccache.ErrFormat)
	}
	slices.Reverse(c.Credentials)
	return c, nil
}
