package kdc

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A message is a version, then parts with their lengths before them, up to the end of
// the stream. The first part is a header in JSON, the others are credentials as
// ccache marshals them.

// version begins each message.
const version = "kcmd-kdc-1\n"

// maxMessage bounds a message, in bytes: a ticket with a large PAC has some 64 KiB.
const maxMessage = 1 << 20

// errMessage is the error for a message that is not one of ours.
var errMessage = errors.New("malformed message")

type requestHeader struct {
	Op        Op    `json:"op"`
	KDCOffset int32 `json:"kdc_offset"`
}

type replyHeader struct {
	Reason Reason `json:"reason,omitempty"` // "" for success
	Text   string `json:"text,omitempty"`
}

// Write writes the request.
func (r *Request) Write(w io.Writer) error {
	return write(w, requestHeader{Op: r.Op, KDCOffset: r.KDCOffset}, r.TGT)
}

// ReadRequest reads a request up to the end of the stream.
func ReadRequest(r io.Reader) (*Request, error) {
	var h requestHeader
	credentials, err := read(r, &h)
	if err != nil {
		return nil, err
	}
	if len(credentials) != 1 || !credentials[0].IsTGT() {
		return nil, fmt.Errorf("%w: it has no TGT", errMessage)
	}
	return &Request{Op: h.Op, KDCOffset: h.KDCOffset, TGT: credentials[0]}, nil
}

// Write writes the reply, or failure if there is one.
func (r *Reply) Write(w io.Writer, failure *Failure) error {
	if failure != nil {
		return write(w, replyHeader{Reason: failure.Reason, Text: failure.Text})
	}
	return write(w, replyHeader{}, r.Credentials...)
}

// readReply reads a reply up to the end of the stream. It returns the Failure of the
// helper as an error.
func readReply(r io.Reader) (*Reply, error) {
	var h replyHeader
	credentials, err := read(r, &h)
	switch {
	case err != nil:
		return nil, err
	case h.Reason != "":
		return nil, &Failure{Reason: h.Reason, Text: h.Text[:min(len(h.Text), MaxText)]}
	}
	return &Reply{Credentials: credentials}, nil
}

// write writes a message in one piece, and then overwrites the bytes.
func write(w io.Writer, header any, credentials ...*ccache.Credential) error {
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	size := len(version) + 4 + len(text)
	for _, c := range credentials {
		size += 4 + len(c.Bytes())
	}
	if size > maxMessage {
		return fmt.Errorf("the message has %d bytes; allowed: %d", size, maxMessage)
	}
	b := append(make([]byte, 0, size), version...) // not moved: no copy is left behind
	defer func() { clear(b) }()
	b = appendPart(b, text)
	for _, c := range credentials {
		b = appendPart(b, c.Bytes())
	}
	_, err = w.Write(b)
	return err
}

func appendPart(b, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

// read reads a message. The credentials share no bytes with the buffer, which is
// overwritten.
func read(r io.Reader, header any) ([]*ccache.Credential, error) {
	b := make([]byte, maxMessage+1)
	defer clear(b)
	n, err := io.ReadFull(r, b)
	switch {
	case err == nil:
		return nil, fmt.Errorf("%w: more than %d bytes", errMessage, maxMessage)
	case !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF):
		return nil, err
	case n < len(version) || string(b[:len(version)]) != version:
		return nil, fmt.Errorf("%w: it does not begin with the version", errMessage)
	}
	d := ccache.NewDecoder(b[len(version):n])
	text := d.Data("header")
	if d.Err() != nil || json.Unmarshal(text, header) != nil {
		return nil, fmt.Errorf("%w: it has no header", errMessage)
	}
	var list []*ccache.Credential
	for len(d.Rest()) > 0 {
		c, err := parse(d.Data("credential"))
		if err := errors.Join(d.Err(), err); err != nil {
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
		list = append(list, c)
	}
	return list, nil
}

func parse(b []byte) (*ccache.Credential, error) {
	c, err := ccache.ParseCredential(b)
	if err != nil {
		return nil, err
	}
	return c.Clone()
}
