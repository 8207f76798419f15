package helper

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/lifecycle/kdc"
)

// A key is an entry of a keytab.
type key struct {
	principal ccache.Principal
	enctype   int32
	value     []byte
}

var errKeytab = errors.New("malformed keytab")

// keytabVersion is the only one that MIT's and Heimdal's programs write.
const keytabVersion = 0x0502

// parseKeytab returns the entries of a keytab. They alias b.
func parseKeytab(b []byte) (keys []key, err error) {
	if len(b) < 2 || binary.BigEndian.Uint16(b) != keytabVersion {
		return nil, errKeytab
	}
	for b = b[2:]; len(b) >= 4; {
		size := int64(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if max(size, -size) > int64(len(b)) {
			return nil, errKeytab
		}
		if size > 0 {
			k, err := parseKey(b[:size])
			if err != nil {
				return nil, err
			}
			keys = append(keys, k)
		}
		b = b[max(size, -size):] // less than 0: a hole
	}
	return keys, nil
}

func parseKey(b []byte) (k key, err error) {
	d := ccache.NewDecoder(b)
	data := func(field string) []byte { return d.Bytes(field, int(d.Uint16("length"))) }
	n := d.Uint16("components")
	k.principal.Realm = string(data("realm"))
	for range n {
		k.principal.Components = append(k.principal.Components, string(data("component")))
		if d.Err() != nil {
			return k, errKeytab
		}
	}
	d.Uint32("name type")
	d.Uint32("timestamp")
	d.Uint8("version")
	k.enctype = int32(d.Uint16("enctype"))
	k.value = data("key")
	if d.Err() != nil {
		return k, errKeytab
	}
	return k, nil
}

// maxKeytab bounds the keytab of the host, in bytes.
const maxKeytab = 1 << 20

var noKeytab = &kdc.Failure{Reason: kdc.NoKeytab, Text: "the host has no keytab that the KDC helper sees"}

// hostKeytab returns the path of the keytab of the host: a credential of the unit, or
// that of libkrb5. An empty credential stands for a host without one.
func hostKeytab() string {
	if dir := os.Getenv("CREDENTIALS_DIRECTORY"); dir != "" {
		return filepath.Join(dir, "krb5.keytab")
	}
	if name := os.Getenv("KRB5_KTNAME"); name != "" {
		return strings.TrimPrefix(strings.TrimPrefix(name, "FILE:"), "WRFILE:")
	}
	return "/etc/krb5.keytab"
}

// readHostKeytab returns the keytab of the host. It fails with fs.ErrNotExist if the host
// has none.
func readHostKeytab() ([]byte, error) {
	f, err := os.OpenFile(hostKeytab(), os.O_RDONLY|unix.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fs.ErrNotExist
	} else if err != nil {
		return nil, &kdc.Failure{Reason: kdc.NoKeytab, Text: "the KDC helper cannot read the keytab of the host"}
	}
	defer f.Close()
	b := make([]byte, maxKeytab)
	n, err := io.ReadFull(f, b)
	switch {
	case err == nil:
		clear(b)
		return nil, &kdc.Failure{Reason: kdc.BadKeytab, Text: "the keytab of the host is too long"}
	case n == 0:
		return nil, fs.ErrNotExist
	}
	return b[:n], nil
}
