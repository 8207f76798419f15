package ccfile

import (
	"encoding/binary"
	"fmt"

	"kcmd.org/kcmd/ccstore/ccache"
)

// An old reader reads the marshalling of a version before 4 and appends that of
// version 4 to out, for the decoder of package ccache. The versions differ in a few
// words only:
//
//	1  host byte order; no name type; the realm counts as a component
//	2  host byte order
//	3  big-endian; the key type twice
type old struct {
	in, out []byte
	version byte
	order   binary.ByteOrder
	short   bool // in ended too early
}

// parseOld decodes a file of version 1, 2 or 3 without its first two bytes.
func parseOld(b []byte, version byte) (*ccache.Contents, error) {
	o := &old{in: b, version: version, order: binary.BigEndian}
	if version < 3 {
		o.order = binary.NativeEndian
	}
	o.principal()
	if o.short {
		return nil, fmt.Errorf("%w: it ends within the principal", ccache.ErrFormat)
	}
	principal, err := ccache.ParsePrincipal(o.out)
	if err != nil {
		return nil, err
	}
	c := &ccache.Contents{Principal: principal}
	return c, readCredentials(c, o.credential, len(o.in))
}

// credential reads a credential, and returns the number of bytes left.
func (o *old) credential() (*ccache.Credential, int, error) {
	o.out = nil
	o.principal()
	o.principal()
	o.copyUint16() // key type
	if o.version == 3 {
		o.take(2)
	}
	o.data()
	for range 4 { // times
		o.copyUint32()
	}
	o.out = append(o.out, o.take(1)...) // is_skey
	o.copyUint32()                      // flags
	for range 2 {                       // addresses, authorization data
		for n := o.copyUint32(); n > 0 && !o.short; n-- {
			o.copyUint16()
			o.data()
		}
	}
	o.data()
	o.data()
	if o.short {
		return nil, 0, fmt.Errorf("%w: it ends within a credential", ccache.ErrFormat)
	}
	cred, err := ccache.ParseCredential(o.out)
	return cred, len(o.in), err
}

func (o *old) principal() {
	var nameType uint32
	if o.version > 1 {
		nameType = o.uint32()
	}
	n := o.uint32()
	if o.version == 1 {
		if n == 0 {
			o.short = true
			return
		}
		n--
	}
	o.out = binary.BigEndian.AppendUint32(o.out, nameType)
	o.out = binary.BigEndian.AppendUint32(o.out, n)
	o.data()
	for ; n > 0 && !o.short; n-- {
		o.data()
	}
}

// data copies a length and as many bytes.
func (o *old) data() {
	n := o.copyUint32()
	if uint64(n) > uint64(len(o.in)) {
		o.short = true
		return
	}
	o.out = append(o.out, o.take(int(n))...)
}

func (o *old) copyUint32() uint32 {
	v := o.uint32()
	o.out = binary.BigEndian.AppendUint32(o.out, v)
	return v
}

func (o *old) copyUint16() {
	if b := o.take(2); b != nil {
		o.out = binary.BigEndian.AppendUint16(o.out, o.order.Uint16(b))
	}
}

func (o *old) uint32() uint32 {
	if b := o.take(4); b != nil {
		return o.order.Uint32(b)
	}
	return 0
}

// take returns the next n bytes, nil if there are fewer.
func (o *old) take(n int) []byte {
	if o.short || n > len(o.in) {
		o.short = true
		return nil
	}
	b := o.in[:n]
	o.in = o.in[n:]
	return b
}
