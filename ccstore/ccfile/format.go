package ccfile

import (
	"encoding/binary"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Append appends a file of version 4 to b.
func Append(b []byte, c *ccache.Contents) []byte {
	b = append(b, 5, 4)
	b = binary.BigEndian.AppendUint16(b, 12) // bytes of the header
	b = binary.BigEndian.AppendUint16(b, tagOffset)
	b = binary.BigEndian.AppendUint16(b, 8)
	b = binary.BigEndian.AppendUint32(b, uint32(c.KDCOffset))
	b = binary.BigEndian.AppendUint32(b, uint32(c.Microseconds))
	b = c.Principal.Append(b)
	for _, cred := range c.Credentials {
		b = append(b, cred.Bytes()...)
	}
	return b
}
