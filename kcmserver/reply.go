package kcmserver

import (
	"encoding/binary"
	"net"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// A reply is what a call answers: the header, for which there is room, and its
// data. Small ones are one piece of memory; of others the tickets are not copied
// but sent from where they are stored.
type reply struct {
	buf    []byte   // the header, and all that is copied
	shared [][]byte // what is sent before the rest of buf
	from   int      // where that rest begins
	size   int      // of all
}

const (
	copyUpTo   = 16 << 10 // of a reply: then tickets are shared
	copyAnyway = 128      // what is shorter is not worth a piece of its own
	keepPieces = 1 << 10
)

// begin empties r. Its memory is used again, unless it is much.
func (r *reply) begin() {
	if cap(r.buf) > keepBuffer || cap(r.buf) < kcm.ReplyHeaderLen {
		r.buf = make([]byte, kcm.ReplyHeaderLen, 1<<10)
	}
	if cap(r.shared) > keepPieces {
		r.shared = nil
	}
	clear(r.shared) // so that nobody keeps alive what is removed from the store
	*r = reply{buf: r.buf[:kcm.ReplyHeaderLen], shared: r.shared[:0], size: kcm.ReplyHeaderLen}
}

// add appends b, which nobody changes until the reply was sent.
func (r *reply) add(b []byte) {
	r.size += len(b)
	if r.size <= copyUpTo || len(b) <= copyAnyway {
		r.buf = append(r.buf, b...)
		return
	}
	r.shareBuf()
	r.shared = append(r.shared, b)
}

// shareBuf makes a piece of what is in buf behind the last one. It is never
// empty: on some connections to write nothing waits for somebody who reads.
func (r *reply) shareBuf() {
	if end := len(r.buf); r.from < end {
		r.shared = append(r.shared, r.buf[r.from:end:end])
		r.from = end
	}
}

// addUint32 appends four bytes.
func (r *reply) addUint32(n uint32) {
	r.size += 4
	r.buf = binary.BigEndian.AppendUint32(r.buf, n)
}

// finish returns the pieces of the reply with that code.
func (r *reply) finish(code kcm.Code) net.Buffers {
	header := kcm.PutReplyHeader(r.buf[:0], code, r.size-kcm.ReplyHeaderLen)
	if len(r.shared) > 0 {
		copy(r.shared[0], header) // it may be in memory that buf has grown out of
	}
	r.shareBuf()
	return r.shared
}
