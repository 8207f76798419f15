package kcm_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// A vector is a request with its reply, captured between a client and a server.
type vector struct {
	Op      string     `json:"op"`
	Opcode  kcm.Opcode `json:"opcode"`
	About   string     `json:"about"`
	Request string     `json:"request"` // hex
	Reply   string     `json:"reply"`   // hex
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var list []vector
	if err := json.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	if len(list) == 0 {
		t.Fatal("there are no vectors")
	}
	return list
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// arguments reads the arguments of a request as its operation has them.
func arguments(req kcm.Request) error {
	d := kcm.NewDecoder(req.Args)
	switch req.Opcode {
	case kcm.OpGetDefaultCache, kcm.OpGetCacheUUIDList, kcm.OpGenNew:
		return d.Err()
	case kcm.OpGetCacheByUUID:
		d.UUID()
		return d.Err()
	}
	d.Name()
	switch req.Opcode {
	case kcm.OpInitialize:
		d.Principal("principal")
	case kcm.OpStore:
		d.Credential("credential")
	case kcm.OpRetrieve:
		d.Match()
	case kcm.OpRemoveCred:
		d.RemoveMatch()
	case kcm.OpGetCredByUUID:
		d.UUID()
	case kcm.OpSetKDCOffset:
		d.Int32("offset")
	case kcm.OpReplace:
		d.Int32("offset")
		d.Principal("principal")
		d.CredentialList()
	}
	return d.Err()
}

// TestVectors reads what real clients send, and writes it again.
func TestVectors(t *testing.T) {
	for i, v := range vectors(t) {
		frame := unhex(t, v.Request)
		req, _, err := kcm.ReadRequest(bytes.NewReader(frame), nil)
		if err != nil {
			t.Errorf("vector %d (%s): %v", i, v.About, err)
			continue
		}
		if req.Opcode != v.Opcode || req.Opcode.String() != v.Op {
			t.Errorf("vector %d: opcode %v, want %v", i, req.Opcode, v.Op)
		}
		if err := arguments(req); err != nil {
			t.Errorf("vector %d (%s): %v", i, v.About, err)
		}
		if again := kcm.AppendRequest(nil, req.Opcode, req.Args); !bytes.Equal(again, frame) {
			t.Errorf("vector %d: written again as\n%x, want\n%x", i, again, frame)
		}
		reply := unhex(t, v.Reply)
		code, data, err := kcm.ReadReply(bytes.NewReader(reply))
		if err != nil {
			t.Errorf("vector %d (%s): reply: %v", i, v.About, err)
			continue
		}
		if binary.BigEndian.Uint32(reply[4:]) != 0 {
			continue // a server that uses the outer status, as ours does not
		}
		if again := kcm.AppendReply(nil, code, data); !bytes.Equal(again, reply) {
			t.Errorf("vector %d: reply written again as\n%x, want\n%x", i, again, reply)
		}
	}
}

func TestReadRequest(t *testing.T) {
	tests := []struct {
		name string
		in   string
		err  error
		says string
	}{
		{"nothing", "", io.EOF, ""},
		{"half a length", "\x00\x00", io.ErrUnexpectedEOF, ""},
		{"a length alone", "\x00\x00\x00\x04", io.ErrUnexpectedEOF, ""},
		{"cut", "\x00\x00\x00\x06\x02\x00\x00\x00a", io.ErrUnexpectedEOF, ""},
		{"no body", "\x00\x00\x00\x00", kcm.ErrFrame, "length 0, allowed are 4 to 10485760"},
		{"three bytes", "\x00\x00\x00\x03\x02\x00\x00", kcm.ErrFrame, "length 3"},
		{"too long", "\x00\xa0\x00\x01", kcm.ErrFrame, "length 10485761"},
		{"4 GiB", "\xff\xff\xff\xff", kcm.ErrFrame, "length 4294967295"},
		{"version 1.0", "\x00\x00\x00\x04\x01\x00\x00\x14", kcm.ErrFrame, "version 1.0, allowed is 2.0"},
		{"version 2.1", "\x00\x00\x00\x04\x02\x01\x00\x14", kcm.ErrFrame, "version 2.1"},
		{"good", "\x00\x00\x00\x06\x02\x00\x32\xc9a\x00", nil, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			req, _, err := kcm.ReadRequest(iotest.OneByteReader(strings.NewReader(tt.in)), nil)
			if !errors.Is(err, tt.err) || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Fatalf("error %v, want %v that says %q", err, tt.err, tt.says)
			}
			if tt.err == nil && (req.Opcode != kcm.OpGetCredList || string(req.Args) != "a\x00") {
				t.Errorf("got %v", req)
			}
		})
	}
}

// TestClaimedLength claims 10 MiB and sends little: memory follows what came.
func TestClaimedLength(t *testing.T) {
	in := append([]byte{0, 0xa0, 0, 0, 2, 0, 0, 20}, make([]byte, 100_000)...)
	_, buf, err := kcm.ReadRequest(bytes.NewReader(in), nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("error %v", err)
	}
	if cap(buf) > 1<<20 {
		t.Errorf("%d bytes were taken for %d received", cap(buf), len(in))
	}
}

func TestLargestRequest(t *testing.T) {
	frame := kcm.AppendRequest(nil, kcm.OpStore, make([]byte, kcm.MaxLen-4))
	req, _, err := kcm.ReadRequest(bytes.NewReader(frame), nil)
	if err != nil || len(req.Args) != kcm.MaxLen-4 {
		t.Errorf("%d bytes, %v", len(req.Args), err)
	}
}

func TestBadArguments(t *testing.T) {
	tests := []struct {
		name string
		op   kcm.Opcode
		args string
	}{
		{"name without NUL", kcm.OpGetPrincipal, "1000"},
		{"no name", kcm.OpGetPrincipal, ""},
		{"short UUID", kcm.OpGetCredByUUID, "a\x00" + "123456789012345"},
		{"principal with 2^31-1 components", kcm.OpInitialize, "a\x00\x00\x00\x00\x01\x7f\xff\xff\xff\x00\x00\x00\x01R"},
		{"2^32-1 credentials", kcm.OpReplace, "a\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01R\xff\xff\xff\xff"},
		{"junk for a credential", kcm.OpReplace, "a\x00\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x01R\x00\x00\x00\x01\x00\x00\x00\x04junk"},
		{"half an offset", kcm.OpSetKDCOffset, "a\x00\x00\x00"},
		{"half a match credential", kcm.OpRetrieve, "a\x00\x00\x00\x00\x01\x00\x00\x00\x03\x00\x00\x00\x01"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			err := arguments(kcm.Request{Opcode: tt.op, Args: []byte(tt.args)})
			if !errors.Is(err, ccache.ErrFormat) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestMatchFlagsOfOlderClients(t *testing.T) {
	tests := []struct {
		word uint32
		want ccache.MatchFlags
	}{
		{0, 0},
		{0x002, ccache.MatchIsSKey},
		{0x141, ccache.MatchTimes | ccache.MatchServerNameOnly | ccache.MatchKeyType},
		{0x00400000, ccache.MatchIsSKey},
		{0x03000001, 0x03000001},
	}
	for _, tt := range tests {
		args := binary.BigEndian.AppendUint32(nil, tt.word)
		d := kcm.NewDecoder((&ccache.Match{}).Append(args))
		if m := d.RemoveMatch(); d.Err() != nil || m.Flags != tt.want {
			t.Errorf("%#x: %#x, %v; want %#x", tt.word, m.Flags, d.Err(), tt.want)
		}
	}
}

func FuzzReadRequest(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(unhex(f, v.Request))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		req, buf, err := kcm.ReadRequest(bytes.NewReader(b), nil)
		if cap(buf) > 2*len(b)+128<<10 {
			t.Fatalf("%d bytes were taken for %d received", cap(buf), len(b))
		}
		if err != nil {
			return
		}
		again := kcm.AppendRequest(nil, req.Opcode, req.Args)
		if !bytes.HasPrefix(b, again) {
			t.Fatalf("read from\n%x, written again as\n%x", b, again)
		}
		if err := arguments(req); err != nil && !errors.Is(err, ccache.ErrFormat) {
			t.Fatal(err)
		}
	})
}

// FuzzArguments decodes any bytes as the arguments of any operation.
func FuzzArguments(f *testing.F) {
	for _, v := range vectors(f) {
		f.Add(uint16(v.Opcode), unhex(f, v.Request)[8:])
	}
	f.Fuzz(func(t *testing.T, opcode uint16, args []byte) {
		err := arguments(kcm.Request{Opcode: kcm.Opcode(opcode), Args: args})
		if err != nil && !errors.Is(err, ccache.ErrFormat) {
			t.Fatal(err)
		}
	})
}

func FuzzMatch(f *testing.F) {
	n := 0
	for _, v := range vectors(f) {
		if v.Opcode == kcm.OpRetrieve || v.Opcode == kcm.OpRemoveCred {
			args := unhex(f, v.Request)[8:]
			f.Add(args[bytes.IndexByte(args, 0)+1:])
			n++
		}
	}
	if n == 0 {
		f.Fatal("no vector has a match credential")
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		d := kcm.NewDecoder(b)
		m := d.Match()
		if (m == nil) != (d.Err() != nil) {
			t.Fatalf("%v, %v", m, d.Err())
		}
		if m == nil {
			return
		}
		again := kcm.NewDecoder(m.Append(binary.BigEndian.AppendUint32(nil, uint32(m.Flags))))
		if n := again.Match(); n == nil || n.Flags != m.Flags || (n.Server == nil) != (m.Server == nil) {
			t.Fatalf("%v, written again %v", m, n)
		}
	})
}
