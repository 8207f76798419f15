package ccsssd

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// packVersion is the first format of LDB's records, the one of databases without an
// index, as this is.
const packVersion = 0x26011967

// A record is what LDB packs into the data of a record, with little-endian numbers.
type record struct {
	dn     string
	secret []byte // the first value of that attribute, nil if there is none
}

// unpack decodes a record.
func unpack(b []byte) (record, error) {
	p := &packed{b: b}
	if version := p.uint32(); version != packVersion {
		return record{}, fmt.Errorf("%w: records have the format %#x", errFormat, version)
	}
	n := p.uint32()
	r := record{dn: p.text()}
	for ; n > 0 && !p.short; n-- {
		name := p.text()
		for values := p.uint32(); values > 0 && !p.short; values-- {
			value := p.take(p.uint32())
			p.take(1) // NUL
			if name == "secret" && r.secret == nil {
				r.secret = value
			}
		}
	}
	if p.short {
		return record{}, errFormat
	}
	return r, nil
}

// packed reads bytes. short is set once there are too few.
type packed struct {
	b     []byte
	short bool
}

func (p *packed) take(n uint32) []byte {
	if p.short || uint64(n) > uint64(len(p.b)) {
		p.short = true
		return nil
	}
	v := p.b[:n:n]
	p.b = p.b[n:]
	return v
}

func (p *packed) uint32() uint32 {
	if v := p.take(4); v != nil {
		return binary.LittleEndian.Uint32(v)
	}
	return 0
}

// native reads a number in the byte order of the machine.
func (p *packed) native() uint32 {
	if v := p.take(4); v != nil {
		return binary.NativeEndian.Uint32(v)
	}
	return 0
}

// text reads a string that ends with a NUL.
func (p *packed) text() string {
	i := bytes.IndexByte(p.b, 0)
	if i < 0 {
		p.short = true
		return ""
	}
	s := string(p.b[:i])
	p.take(uint32(i) + 1)
	return s
}
