// Package checksum computes the checksums with which a backend detects changed rows.
//
// It imports nothing of kcmd.
package checksum

import "hash/crc32"

// A Sum is the CRC-32C (Castagnoli) of the fields added to it; the zero Sum has no
// fields. The length of a field is part of the sum, so that moving a byte from one
// field to the next changes the sum.
type Sum uint32

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Bytes adds a field.
func (s Sum) Bytes(field []byte) Sum {
	return Sum(crc32.Update(uint32(s.Uint64(uint64(len(field)))), castagnoli, field))
}

// Text adds a field.
func (s Sum) Text(field string) Sum { return s.Bytes([]byte(field)) }

// Uint64 adds a number. crc32.Update would have its bytes allocated.
func (s Sum) Uint64(n uint64) Sum {
	crc := ^uint32(s)
	for shift := 56; shift >= 0; shift -= 8 {
		crc = castagnoli[byte(crc)^byte(n>>shift)] ^ crc>>8
	}
	return Sum(^crc)
}
