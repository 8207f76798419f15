package kcm

import (
	"bytes"
	"encoding/binary"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A Decoder reads the arguments of a request, or the data of a reply. It keeps its
// first error (see ccache.Decoder). Bytes after the last argument are ignored:
// Heimdal sends some.
type Decoder struct{ *ccache.Decoder }

// NewDecoder returns a decoder of args.
func NewDecoder(args []byte) Decoder { return Decoder{ccache.NewDecoder(args)} }

// Name reads a cache name, which ends with a NUL.
func (d Decoder) Name() string {
	rest := d.Rest()
	end := bytes.IndexByte(rest, 0)
	if end < 0 {
		d.Fail("cache name", "no NUL at its end")
		return ""
	}
	return string(d.Bytes("cache name", end+1)[:end])
}

// UUID reads 16 bytes.
func (d Decoder) UUID() uuid.UUID {
	var id uuid.UUID
	copy(id[:], d.Bytes("UUID", len(id)))
	return id
}

// Int32 reads a signed number.
func (d Decoder) Int32(field string) int32 { return int32(d.Uint32(field)) }

// Match reads match flags and a match credential, arguments of RETRIEVE.
func (d Decoder) Match() *ccache.Match {
	flags := ccache.MatchFlags(d.Uint32("match flags"))
	return d.Decoder.Match("match credential", flags)
}

// RemoveMatch reads match flags and a match credential, arguments of REMOVE_CRED.
// MIT clients up to 1.19 send libkrb5's internal flags there; no bit of these is a
// flag of the protocol.
func (d Decoder) RemoveMatch() *ccache.Match {
	const kcmBits = 0xffc00000
	word := d.Uint32("match flags")
	flags := ccache.MatchFlags(word)
	if word != 0 && word&kcmBits == 0 {
		flags = ccache.MITMatchFlags(word)
	}
	return d.Decoder.Match("match credential", flags)
}

// credentialElements is the memory of a Credential in a list, in elements.
const credentialElements = 16

// CredentialList reads a count and that many credentials, each after its length.
func (d Decoder) CredentialList() []*ccache.Credential {
	n := d.Uint32("credential count")
	if left := len(d.Rest()); d.Err() == nil && uint64(n)*4 > uint64(left) {
		d.Fail("credential count", "claims %d credentials, %d bytes are left", n, left)
	}
	if d.Err() != nil {
		return nil
	}
	list := make([]*ccache.Credential, 0, min(n, 1024)) // n is what the client claims
	for range n {
		inner := ccache.NewDecoder(d.Data("credential"))
		cred := inner.Credential("credential")
		if err := inner.Err(); err != nil && d.Err() == nil {
			d.Fail("credential", "%v", err)
		}
		if d.Err() != nil {
			return nil
		}
		d.AddElements(inner.Elements() + credentialElements)
		list = append(list, cred)
	}
	return list
}

// AppendName appends a cache name and its NUL to b.
func AppendName(b []byte, name string) []byte {
	b = append(b, name...)
	return append(b, 0)
}

// AppendMatch appends match flags and a match credential to b, as Decoder.Match
// reads them.
func AppendMatch(b []byte, m *ccache.Match) []byte {
	return m.Append(binary.BigEndian.AppendUint32(b, uint32(m.Flags)))
}

// AppendCredentialList appends a count and that many credentials to b, each after
// its length, as Decoder.CredentialList reads them.
func AppendCredentialList(b []byte, list []*ccache.Credential) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(len(list)))
	for _, cred := range list {
		data := cred.Bytes()
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		b = append(b, data...)
	}
	return b
}
