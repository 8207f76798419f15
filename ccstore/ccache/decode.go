package ccache

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrFormat is wrapped by every error that says that bytes are not what the
// version 4 marshalling allows.
var ErrFormat = errors.New("malformed credential cache data")

// A Decoder reads big-endian version 4 marshalling from a byte slice. After the
// first failure every method returns a zero value, and Err says what was wrong,
// so that callers check once.
//
// Slices that it returns alias its input.
type Decoder struct {
	in    []byte
	off   int
	err   error
	scope string // what the fields belong to, or ""

	elements int // of lists, so far
}

// NewDecoder returns a Decoder that reads b from its beginning.
func NewDecoder(b []byte) *Decoder { return &Decoder{in: b} }

// Reset has d read b from its beginning, as a new one would.
func (d *Decoder) Reset(b []byte) { *d = Decoder{in: b} }

// Err returns the first error, which wraps ErrFormat, or nil.
func (d *Decoder) Err() error { return d.err }

// Rest returns the bytes not yet read and does not consume them.
func (d *Decoder) Rest() []byte {
	if d.err != nil {
		return nil
	}
	return d.in[d.off:]
}

// Fail records that field is malformed, unless an error is recorded already.
func (d *Decoder) Fail(field, format string, args ...any) {
	if d.err == nil {
		if d.scope != "" {
			field = d.scope + " " + field
		}
		d.err = fmt.Errorf("%w: %s at byte %d: %s", ErrFormat, field, d.off, fmt.Sprintf(format, args...))
	}
}

// Bytes reads n bytes.
func (d *Decoder) Bytes(field string, n int) []byte {
	if d.err != nil {
		return nil
	}
	if n < 0 || n > len(d.in)-d.off {
		d.Fail(field, "needs %d bytes, %d are left", n, len(d.in)-d.off)
		return nil
	}
	b := d.in[d.off : d.off+n : d.off+n]
	d.off += n
	return b
}

// Uint8 reads one byte.
func (d *Decoder) Uint8(field string) uint8 {
	if b := d.Bytes(field, 1); b != nil {
		return b[0]
	}
	return 0
}

// Uint16 reads two bytes.
func (d *Decoder) Uint16(field string) uint16 {
	if b := d.Bytes(field, 2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

// Uint32 reads four bytes.
func (d *Decoder) Uint32(field string) uint32 {
	if b := d.Bytes(field, 4); b != nil {
		return binary.BigEndian.Uint32(b)
	}
	return 0
}

// Data reads a 32-bit length and as many bytes.
func (d *Decoder) Data(field string) []byte {
	n := d.Uint32(field)
	if uint64(n) > uint64(len(d.in)) { // before the conversion to int
		d.Fail(field, "claims %d bytes, %d are left", n, len(d.in)-d.off)
		return nil
	}
	return d.Bytes(field, int(n))
}

// Elements returns how many elements of lists d has read: components, addresses,
// authorization data. Each takes memory besides its bytes.
func (d *Decoder) Elements() int { return d.elements }

// AddElements counts elements that another decoder read for d.
func (d *Decoder) AddElements(n int) { d.elements += n }

// count reads the number of elements that follow, at most limit. It is bounded by
// the bytes left, of which each element takes at least size, so that no
// memory is allocated for elements that were never sent.
func (d *Decoder) count(field string, size, limit int) int {
	n := d.Uint32(field)
	if left := len(d.in) - d.off; d.err == nil && uint64(n)*uint64(size) > uint64(left) {
		d.Fail(field, "claims %d elements, %d bytes are left", n, left)
	}
	if d.err == nil && int(n) > limit {
		d.Fail(field, "claims %d elements, allowed are %d", n, limit)
	}
	if d.err != nil {
		return 0
	}
	d.elements += int(n)
	return int(n)
}

func appendData[T string | []byte](b []byte, data T) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
	return append(b, data...)
}
