package system

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"slices"
	"time"
)

// A KCM client for requests that no real client sends. It is written from the
// description of the protocol, not from the server's code.

// Operations that the tests send.
const (
	opNoop             = 0
	opGenNew           = 3
	opInitialize       = 4
	opDestroy          = 5
	opStore            = 6
	opRetrieve         = 7
	opGetPrincipal     = 8
	opGetCredUUIDs     = 9
	opGetCredByUUID    = 10
	opRemoveCred       = 11
	opChown            = 13
	opChmod            = 14
	opGetInitialTicket = 15
	opMoveCache        = 17
	opGetCacheUUIDs    = 18
	opGetCacheByUUID   = 19
	opGetDefault       = 20
	opSetDefault       = 21
	opGetKDCOffset     = 22
	opSetKDCOffset     = 23
	opGetCredList      = 13001
	opReplace          = 13002
)

// Codes that the tests expect.
const (
	codeFormat   = -1765328185 // KRB5_CC_FORMAT
	codeNoFile   = -1765328189 // KRB5_FCC_NOFILE
	codePerm     = -1765328190 // KRB5_FCC_PERM
	codeBadName  = -1765328245 // KRB5_CC_BADNAME
	codeNotFound = -1765328243 // KRB5_CC_NOTFOUND
	codeEnd      = -1765328242 // KRB5_CC_END
	codeInternal = -1765328188 // KRB5_FCC_INTERNAL
	codeQuota    = 122         // EDQUOT
)

// A wire is a connection to the KCM socket.
type wire struct{ net.Conn }

func dial(socket string) (wire, error) {
	c, err := net.DialTimeout("unix", socket, patience)
	if err != nil {
		return wire{}, err
	}
	// A server that does not answer fails the test instead of stopping it.
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return wire{}, err
	}
	return wire{c}, nil
}

// call sends a request and returns the code and the data of the reply.
func (w wire) call(op uint16, args ...[]byte) (code int32, data []byte, err error) {
	// A connection may live longer than one call.
	if err := w.SetDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	if _, err := w.Write(frame(body(op, args...))); err != nil {
		return 0, nil, err
	}
	return w.reply()
}

// reply reads one reply.
func (w wire) reply() (code int32, data []byte, err error) {
	var head [12]byte
	if _, err := io.ReadFull(w, head[:]); err != nil {
		return 0, nil, err
	}
	length := binary.BigEndian.Uint32(head[0:])
	outer := int32(binary.BigEndian.Uint32(head[4:]))
	code = int32(binary.BigEndian.Uint32(head[8:]))
	if outer != 0 {
		return 0, nil, fmt.Errorf("outer status %d", outer)
	}
	if length < 4 || length > 10<<20 {
		return 0, nil, fmt.Errorf("reply of %d bytes", length)
	}
	data = make([]byte, length-4)
	if _, err := io.ReadFull(w, data); err != nil {
		return 0, nil, err
	}
	if code != 0 && len(data) != 0 {
		return 0, nil, fmt.Errorf("%d bytes after code %d", len(data), code)
	}
	return code, data, nil
}

// frame prepends its length to a request.
func frame(body []byte) []byte {
	return append(be32(uint32(len(body))), body...)
}

// body is a request without its length.
func body(op uint16, args ...[]byte) []byte {
	b := []byte{
		2, 0, // version
		byte(op >> 8), byte(op),
	}
	for _, a := range args {
		b = append(b, a...)
	}
	return b
}

func be32(n uint32) []byte { return binary.BigEndian.AppendUint32(nil, n) }

func name(s string) []byte { return append([]byte(s), 0) }

func data(s string) []byte { return append(be32(uint32(len(s))), s...) }

// principal is COMPONENT...@KCMD.TEST.
func principal(components ...string) []byte {
	b := be32(1)                                    // name type: a user
	b = append(b, be32(uint32(len(components)))...) // the realm is not counted
	b = append(b, data("KCMD.TEST")...)
	for _, c := range components {
		b = append(b, data(c)...)
	}
	return b
}

// began is the time of the tests' start, in seconds since 1970, so that two credentials
// of one service are equal.
var began = uint32(time.Now().Unix())

// credential is a new ticket of alice for a service.
func credential(service string) []byte { return ticketFor(service, "host", service) }

// tgt is a new TGT of alice.
func tgt() []byte { return ticketFor("krbtgt", "krbtgt", "KCMD.TEST") }

// ticketFor is a new ticket of alice for a server. The name is in its bytes.
func ticketFor(name string, server ...string) []byte {
	return parts{server: principal(server...), ticket: "ticket for " + name, end: began + 3600}.credential()
}

// parts are what differs between the tickets of tests.
type parts struct {
	client   []byte // a principal, nil for alice
	server   []byte // a principal
	end      uint32
	authdata int // entries, all of them empty
	ticket   string
	second   string // second ticket
}

func (p parts) credential() []byte {
	b := p.client
	if b == nil {
		b = principal("alice")
	}
	b = slices.Concat(b, p.server)
	b = append(b, 0, 18) // key: aes256-cts-hmac-sha1-96
	b = append(b, data("0123456789abcdef0123456789abcdef")...)
	b = append(b, be32(min(began, p.end))...) // authtime
	b = append(b, be32(min(began, p.end))...) // starttime
	b = append(b, be32(p.end)...)
	b = append(b, be32(0)...)          // renew_till
	b = append(b, 0)                   // is_skey
	b = append(b, be32(0x40000000)...) // flags: forwardable
	b = append(b, be32(0)...)          // no addresses
	b = append(b, be32(uint32(p.authdata))...)
	b = append(b, make([]byte, 6*p.authdata)...)
	b = append(b, data(p.ticket)...)
	return append(b, data(p.second)...)
}

// credentials parses the reply to opGetCredList.
func credentials(reply []byte) ([]string, error) {
	next := func() (uint32, bool) {
		if len(reply) < 4 {
			return 0, false
		}
		n := binary.BigEndian.Uint32(reply)
		reply = reply[4:]
		return n, true
	}
	count, ok := next()
	if !ok {
		return nil, io.ErrUnexpectedEOF
	}
	var creds []string
	for range count {
		n, ok := next()
		if !ok || uint64(n) > uint64(len(reply)) {
			return nil, io.ErrUnexpectedEOF
		}
		creds = append(creds, string(reply[:n]))
		reply = reply[n:]
	}
	return creds, nil
}
