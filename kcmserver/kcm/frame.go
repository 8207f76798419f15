package kcm

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

// MaxLen limits the length of a frame: the bytes after the length of a request, and
// after the outer status of a reply. MIT clients accept no longer reply
// (MAX_REPLY_SIZE in cc_kcm.c). For requests it is a limit of kcmd, so that whatever
// can be stored can be returned.
const MaxLen = 10 << 20

const (
	versionMajor = 2
	versionMinor = 0
	headerLen    = 4 // versions and opcode
)

// ErrFrame is wrapped by every error for bytes that are not a frame of the protocol.
// The bytes after them cannot be decoded either.
var ErrFrame = errors.New("malformed KCM frame")

// A Request is an opcode with its arguments.
type Request struct {
	Opcode Opcode
	Args   []byte
}

// readChunk is the memory that is allocated before the first bytes of a body arrive.
const readChunk = 64 << 10

// ReadRequest reads one request. It uses buf for the body and returns it, grown if
// necessary, for the next call; Args alias it. Memory grows with the bytes received,
// not with the length that the client claims.
//
// It returns io.EOF if r ends before the first byte, io.ErrUnexpectedEOF if r ends
// within the request, and an error that wraps ErrFrame if the bytes are not a
// request.
func ReadRequest(r io.Reader, buf []byte) (Request, []byte, error) {
	length := slices.Grow(buf[:0], 4)[:4]
	if _, err := io.ReadFull(r, length); err != nil {
		return Request{}, buf, err
	}
	n := binary.BigEndian.Uint32(length)
	if n < headerLen || n > MaxLen {
		return Request{}, buf, fmt.Errorf("%w: length %d, allowed are %d to %d", ErrFrame, n, headerLen, MaxLen)
	}
	body, err := readBody(r, length, int(n))
	if err != nil {
		return Request{}, body, err
	}
	if body[0] != versionMajor || body[1] != versionMinor {
		return Request{}, body, fmt.Errorf("%w: version %d.%d, allowed is %d.%d",
			ErrFrame, body[0], body[1], versionMajor, versionMinor)
	}
	return Request{Opcode: Opcode(binary.BigEndian.Uint16(body[2:])), Args: body[headerLen:]}, body, nil
}

// readBody reads n bytes into buf, which it grows chunk by chunk.
func readBody(r io.Reader, buf []byte, n int) ([]byte, error) {
	buf = buf[:0]
	for len(buf) < n {
		next := min(n-len(buf), max(readChunk, len(buf)))
		buf = slices.Grow(buf, next)
		m, err := io.ReadFull(r, buf[len(buf):len(buf)+next])
		buf = buf[:len(buf)+m]
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return buf, err
		}
	}
	return buf, nil
}

// AppendRequest appends a request to b.
func AppendRequest(b []byte, op Opcode, args []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(headerLen+len(args)))
	b = append(b, versionMajor, versionMinor)
	b = binary.BigEndian.AppendUint16(b, uint16(op))
	return append(b, args...)
}

// ReplyHeaderLen is the length of a reply without data.
const ReplyHeaderLen = 12

// MaxReplyData bounds the data of a reply.
const MaxReplyData = MaxLen - 4

// AppendReply appends a reply to b. data is sent only if code is OK.
//
// The code is the inner status. MIT clients do not read the payload of a reply whose
// outer status is not 0, and then take it for the next reply.
func AppendReply(b []byte, code Code, data []byte) []byte {
	if code != OK {
		data = nil
	}
	return append(AppendReplyHeader(b, code, len(data)), data...)
}

// AppendReplyHeader appends the header of a reply with n bytes of data.
func AppendReplyHeader(b []byte, code Code, n int) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(4+n))
	b = binary.BigEndian.AppendUint32(b, 0)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

// ReadReply reads one reply. Its error wraps ErrFrame if the bytes are not a reply.
func ReadReply(r io.Reader) (Code, []byte, error) {
	var header [8]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	n := binary.BigEndian.Uint32(header[:])
	if n > MaxLen {
		return 0, nil, fmt.Errorf("%w: reply of %d bytes, allowed are %d", ErrFrame, n, MaxLen)
	}
	if outer := Code(binary.BigEndian.Uint32(header[4:])); outer != OK {
		if n != 0 {
			return 0, nil, fmt.Errorf("%w: outer status %v with %d bytes", ErrFrame, outer, n)
		}
		return outer, nil, nil
	}
	if n < 4 {
		return 0, nil, fmt.Errorf("%w: reply of %d bytes", ErrFrame, n)
	}
	body, err := readBody(r, nil, int(n))
	if err != nil {
		return 0, nil, err
	}
	return Code(binary.BigEndian.Uint32(body)), body[4:], nil
}
