package kcmserver

import (
	"encoding/binary"
	"net"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// A reply is the answer to a request: a header and data. A small reply is one piece
// of memory. In a larger one the tickets are not copied: they are sent from the
// memory of the store.
type reply struct {
	buf    []byte   // the header and all copied data
	shared [][]byte // the pieces to send before the rest of buf
	from   int      // where that rest begins
	size   int      // of header and data
}

const (
	copyUpTo   = 16 << 10 // up to this size of a reply, all data is copied
	copyAnyway = 128      // up to this length, data is copied in any reply
	keepPieces = 1 << 10  // capacity of shared that the next reply may use
)

// begin empties r. It overwrites the memory, which had session keys, and keeps it for
// the next reply, unless it is large.
func (r *reply) begin() {
	clear(r.buf)
	if cap(r.buf) > keepMemory || cap(r.buf) < kcm.ReplyHeaderLen {
		r.buf = make([]byte, kcm.ReplyHeaderLen, 1<<10)
	}
	clear(r.shared) // so that removed tickets can be freed
	if cap(r.shared) > keepPieces {
		r.shared = nil
	}
	*r = reply{buf: r.buf[:kcm.ReplyHeaderLen], shared: r.shared[:0], size: kcm.ReplyHeaderLen}
}

// add appends b, which must not change until the reply is sent.
func (r *reply) add(b []byte) {
	r.size += len(b)
	if r.size <= copyUpTo || len(b) <= copyAnyway {
		r.buf = append(r.buf, b...)
		return
	}
	r.shareBuf()
	r.shared = append(r.shared, b)
}

// shareBuf makes the rest of buf the next piece, unless it is empty: on some
// connections, such as a net.Pipe, an empty write waits for a reader.
func (r *reply) shareBuf() {
	if end := len(r.buf); r.from < end {
		r.shared = append(r.shared, r.buf[r.from:end:end])
		r.from = end
	}
}

// addUint32 appends n as four bytes.
func (r *reply) addUint32(n uint32) {
	r.size += 4
	r.buf = binary.BigEndian.AppendUint32(r.buf, n)
}

// finish writes the header, with a code, and returns the pieces of the reply.
func (r *reply) finish(code kcm.Code) net.Buffers {
	header := kcm.AppendReplyHeader(r.buf[:0], code, r.size-kcm.ReplyHeaderLen)
	if len(r.shared) > 0 {
		copy(r.shared[0], header) // the first piece may be memory that buf had before it grew
	}
	r.shareBuf()
	return r.shared
}
