package ccfile

import (
	"errors"
	"fmt"

	"kcmd.org/kcmd/ccstore/ccache"
)

// MaxSize bounds the size of a file that Open reads, in bytes.
const MaxSize = 64 << 20

// ErrDamaged is wrapped by errors about a file whose end cannot be read.
var ErrDamaged = errors.New("damaged")

// Realm that libkrb5 gives a configuration entry which it removes (cc_file.c).
const removedConfigRealm = "X-RMED-CONF:"

const tagOffset = 1 // of the header: the KDC offset

// Parse decodes a file. It leaves out entries that libkrb5 has marked as removed.
//
// If the end of the file cannot be decoded, as libkrb5 is writing to it or it is
// damaged, Parse returns the contents before that, as klist shows them, and an error
// that wraps ErrDamaged. Without a principal it returns no contents; then the error
// wraps ccache.ErrFormat. The credentials alias b.
func Parse(b []byte) (*ccache.Contents, error) {
	if len(b) < 2 || b[0] != 5 || b[1] < 1 || b[1] > 4 {
		return nil, fmt.Errorf("%w: it does not begin as a credential cache", ccache.ErrFormat)
	}
	if b[1] < 4 {
		return parseOld(b[2:], b[1])
	}
	d := ccache.NewDecoder(b[2:])
	c := new(ccache.Contents)
	readHeader(d, c)
	c.Principal = d.Principal("principal")
	if err := d.Err(); err != nil {
		return nil, err
	}
	return c, readCredentials(c, func() (*ccache.Credential, int, error) {
		cred := d.Credential("credential")
		return cred, len(d.Rest()), d.Err()
	}, len(d.Rest()))
}

// readCredentials appends what next returns to c, until no bytes are left.
func readCredentials(c *ccache.Contents, next func() (cred *ccache.Credential, left int, err error), left int) error {
	for left > 0 {
		var cred *ccache.Credential
		var err error
		if cred, left, err = next(); err != nil {
			return fmt.Errorf("%w after %d credentials: %w", ErrDamaged, len(c.Credentials), err)
		}
		if !isRemoved(cred) {
			c.Credentials = append(c.Credentials, cred)
		}
	}
	return nil
}

// readHeader reads the header of version 4: tags, of which one has a meaning.
func readHeader(d *ccache.Decoder, c *ccache.Contents) {
	fields := ccache.NewDecoder(d.Bytes("header", int(d.Uint16("header"))))
	for len(fields.Rest()) > 0 {
		tag := fields.Uint16("tag")
		value := fields.Bytes("tag", int(fields.Uint16("tag")))
		if tag == tagOffset && len(value) == 8 {
			v := ccache.NewDecoder(value)
			c.KDCOffset, c.Microseconds = int32(v.Uint32("offset")), int32(v.Uint32("offset"))
		}
	}
	if err := fields.Err(); err != nil {
		d.Fail("header", "%v", err)
	}
}

// isRemoved reports whether libkrb5 or Heimdal has marked an entry as removed: it has
// no end, but another time of authentication than what never had one (cc_file.c,
// delete_cred).
func isRemoved(c *ccache.Credential) bool {
	return c.EndTime == 0 && c.AuthTime != 0 || c.Server.Realm == removedConfigRealm
}
