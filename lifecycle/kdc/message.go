package kdc

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"kcmd.org/kcmd/ccstore/ccache"
)

// A message is a version, then parts with their lengths before them, up to the end of
// the stream. The first part is a header in JSON. The others are credentials as ccache
// marshals them; or of a request they are the secrets that secrets returns.

// version begins each message.
const version = "kcmd-kdc-1\n"

// maxMessage bounds a message, in bytes: a ticket with a large PAC has some 64 KiB.
const maxMessage = 1 << 20

// errMessage is the error for a message that is not one of ours.
var errMessage = errors.New("malformed message")

type requestHeader struct {
	Op        Op            `json:"op"`
	KDCOffset int32         `json:"kdc_offset"`
	Principal string        `json:"principal,omitempty"`
	Password  bool          `json:"password,omitempty"` // acquire with one, not with a keytab
	Ticket    TicketOptions `json:"ticket,omitzero"`
	Host      HostOptions   `json:"host,omitzero"`
	Routes    string        `json:"routes,omitempty"`
}

// secrets returns where the parts of a request without a TGT are, nil for one with.
func (r *Request) secrets(password bool) []*[]byte {
	switch {
	case r.Op == Acquire && password:
		return []*[]byte{&r.Password}
	case r.Op == Acquire:
		return []*[]byte{&r.Keytab}
	case r.Op == ChangePassword:
		return []*[]byte{&r.Password, &r.Next}
	}
	return nil
}

// Wipe overwrites the passwords and the keytab.
func (r *Request) Wipe() {
	clear(r.Keytab)
	clear(r.Password)
	clear(r.Next)
}

type replyHeader struct {
	Reason    Reason `json:"reason,omitempty"` // "" for success
	Text      string `json:"text,omitempty"`
	KDCOffset int32  `json:"kdc_offset,omitempty"`
	Routes    string `json:"routes,omitempty"`
}

// Write writes the request.
func (r *Request) Write(w io.Writer) error {
	h := requestHeader{Op: r.Op, KDCOffset: r.KDCOffset, Principal: r.Principal, Password: r.Password != nil, Ticket: r.Ticket, Host: r.Host, Routes: r.Routes}
	var parts [][]byte
	for _, secret := range r.secrets(h.Password) {
		parts = append(parts, *secret)
	}
	if r.TGT != nil {
		parts = append(parts, r.TGT.Bytes())
	}
	return write(w, h, parts...)
}

// ReadRequest reads a request up to the end of the stream.
func ReadRequest(r io.Reader) (*Request, error) {
	var h requestHeader
	parts, err := read(r, &h)
	if err != nil {
		return nil, err
	}
	request := &Request{Op: h.Op, KDCOffset: h.KDCOffset, Principal: h.Principal, Ticket: h.Ticket, Host: h.Host, Routes: h.Routes}
	secrets := request.secrets(h.Password)
	want := max(1, len(secrets))
	if h.Op == Network {
		want = 0
	}
	if len(parts) != want {
		return nil, fmt.Errorf("%w: it has %d parts, not %d", errMessage, len(parts), want)
	}
	for i, secret := range secrets {
		*secret = parts[i]
	}
	if secrets != nil || want == 0 {
		return request, nil
	}
	defer clear(parts[0])
	if request.TGT, err = parse(parts[0]); err == nil && !request.TGT.IsTGT() {
		err = fmt.Errorf("%w: it has no TGT", errMessage)
	}
	return request, err
}

// Write writes the reply, or failure if there is one.
func (r *Reply) Write(w io.Writer, failure *Failure) error {
	if failure != nil {
		return write(w, replyHeader{Reason: failure.Reason, Text: failure.Text})
	}
	var parts [][]byte
	for _, c := range r.Credentials {
		parts = append(parts, c.Bytes())
	}
	return write(w, replyHeader{KDCOffset: r.KDCOffset, Routes: r.Routes}, parts...)
}

// readReply reads a reply up to the end of the stream. It returns the Failure of the
// helper as an error.
func readReply(r io.Reader) (*Reply, error) {
	var h replyHeader
	parts, err := read(r, &h)
	switch {
	case err != nil:
		return nil, err
	case h.Reason != "":
		return nil, &Failure{Reason: h.Reason, Text: h.Text[:min(len(h.Text), MaxText)]}
	}
	reply := &Reply{KDCOffset: h.KDCOffset, Routes: h.Routes}
	for _, part := range parts {
		c, err := parse(part)
		if err != nil {
			return nil, err
		}
		clear(part)
		reply.Credentials = append(reply.Credentials, c)
	}
	return reply, nil
}

// write writes a message in one piece, and then overwrites the bytes.
func write(w io.Writer, header any, parts ...[]byte) error {
	text, err := json.Marshal(header)
	if err != nil {
		return err
	}
	size := len(version) + 4 + len(text)
	for _, part := range parts {
		size += 4 + len(part)
	}
	if size > maxMessage {
		return fmt.Errorf("the message has %d bytes; allowed: %d", size, maxMessage)
	}
	b := append(make([]byte, 0, size), version...) // not moved: no copy is left behind
	defer func() { clear(b) }()
	b = appendPart(b, text)
	for _, part := range parts {
		b = appendPart(b, part)
	}
	_, err = w.Write(b)
	return err
}

func appendPart(b, part []byte) []byte {
	return append(binary.BigEndian.AppendUint32(b, uint32(len(part))), part...)
}

// read reads a message. The parts share no bytes with the buffer, which is overwritten.
func read(r io.Reader, header any) ([][]byte, error) {
	b, err := readAll(r)
	defer clear(b)
	switch {
	case err != nil:
		return nil, err
	case len(b) < len(version) || string(b[:len(version)]) != version:
		return nil, fmt.Errorf("%w: it does not begin with the version", errMessage)
	}
	d := ccache.NewDecoder(b[len(version):])
	text := d.Data("header")
	if d.Err() != nil || json.Unmarshal(text, header) != nil {
		return nil, fmt.Errorf("%w: it has no header", errMessage)
	}
	var parts [][]byte
	for len(d.Rest()) > 0 {
		part := d.Data("part")
		if err := d.Err(); err != nil {
			return nil, fmt.Errorf("%w: %w", errMessage, err)
		}
		parts = append(parts, bytes.Clone(part))
	}
	return parts, nil
}

// readAll reads up to the end of the stream. It overwrites the buffers that became too
// small: most messages fit into the first one.
func readAll(r io.Reader) ([]byte, error) {
	b, n := make([]byte, 8<<10), 0
	for {
		got, err := io.ReadFull(r, b[n:])
		n += got
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF):
			return b[:n], nil
		case err == nil && n > maxMessage:
			err = fmt.Errorf("%w: more than %d bytes", errMessage, maxMessage)
		}
		if err != nil {
			clear(b)
			return nil, err
		}
		larger := make([]byte, min(4*n, maxMessage+1))
		copy(larger, b)
		clear(b)
		b = larger
	}
}

func parse(b []byte) (*ccache.Credential, error) {
	c, err := ccache.ParseCredential(b)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", errMessage, err)
	}
	return c.Clone()
}
