package guard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/introspection"
)

// A fakeSocket is the socket of a bus that sends given bytes.
type fakeSocket struct {
	in     []byte
	at     int
	most   int // bytes in one read, 0 for any number
	out    bytes.Buffer
	closed bool
}

func (s *fakeSocket) Read(b []byte) (n int, err error) {
	if s.at == len(s.in) {
		return 0, io.EOF
	}
	if s.most > 0 {
		b = b[:min(len(b), s.most)]
	}
	n = copy(b, s.in[s.at:])
	s.at += n
	return n, nil
}

func (s *fakeSocket) Write(b []byte) (int, error)      { return s.out.Write(b) }
func (s *fakeSocket) SetWriteDeadline(time.Time) error { return nil }

func (s *fakeSocket) Close() error {
	s.closed = true
	return nil
}

// declared are the interfaces of the tests: some real ones, and one whose method
// has another signature than that of the same name in Properties.
var declared = []*introspection.Interface{
	introspection.Peer, introspection.Properties, introspection.Manager,
	{Name: "a.Other", Methods: []introspection.Method{
		{Name: "Get", Args: []introspection.Arg{{Type: "u", Direction: "in"}}},
	}},
}

func newConn(t testing.TB, socket Socket, interfaces ...*introspection.Interface) *Conn {
	t.Helper()
	c := New(socket, Config{Interfaces: interfaces})
	c.begun.Store(true)
	return c
}

// readAll returns all messages that are let through, each as it was read.
func readAll(t testing.TB, c *Conn) (messages [][]byte, calls []*Call) {
	t.Helper()
	for {
		head := make([]byte, fixedHeader)
		if _, err := io.ReadFull(c, head); err == io.EOF {
			return messages, calls
		} else if err != nil {
			t.Fatal(err)
		}
		_, total, ok := sizes(head)
		if !ok {
			t.Fatalf("let through: % x", head)
		}
		message := append(head, make([]byte, total-fixedHeader)...)
		if _, err := io.ReadFull(c, message[fixedHeader:]); err != nil {
			t.Fatal(err)
		}
		messages = append(messages, message)
		if call := c.Call(); call != nil {
			calls = append(calls, call)
		}
	}
}

// The call Get("ab", "c") of Properties, as a bus delivers it.
const (
	littleGet = "l\x01\x00\x01" + // little-endian, method call, no flags, version 1
		"\x0e\x00\x00\x00" + // length of the body
		"\x05\x00\x00\x00" + // serial
		"\x68\x00\x00\x00" + // length of the fields
		"\x01\x01o\x00\x01\x00\x00\x00/\x00" + // path "/"
		"\x00\x00\x00\x00\x00\x00" + // padding
		"\x02\x01s\x00\x1f\x00\x00\x00org.freedesktop.DBus.Properties\x00" + // interface
		"\x03\x01s\x00\x03\x00\x00\x00Get\x00" + // member
		"\x00\x00\x00\x00" +
		"\x08\x01g\x00\x02ss\x00" + // signature
		"\x07\x01s\x00\x04\x00\x00\x00:1.7\x00" + // sender
		"\x00\x00\x00" +
		"\x09\x01u\x00\x00\x00\x00\x00" + // no file descriptors
		"" +
		"\x02\x00\x00\x00ab\x00" +
		"\x00" +
		"\x01\x00\x00\x00c\x00"

	bigGet = "B\x01\x00\x01" +
		"\x00\x00\x00\x0e" +
		"\x00\x00\x00\x05" +
		"\x00\x00\x00\x68" +
		"\x01\x01o\x00\x00\x00\x00\x01/\x00" +
		"\x00\x00\x00\x00\x00\x00" +
		"\x02\x01s\x00\x00\x00\x00\x1forg.freedesktop.DBus.Properties\x00" +
		"\x03\x01s\x00\x00\x00\x00\x03Get\x00" +
		"\x00\x00\x00\x00" +
		"\x08\x01g\x00\x02ss\x00" +
		"\x07\x01s\x00\x00\x00\x00\x04:1.7\x00" +
		"\x00\x00\x00" +
		"\x09\x01u\x00\x00\x00\x00\x00" +
		"" +
		"\x00\x00\x00\x02ab\x00" +
		"\x00" +
		"\x00\x00\x00\x01c\x00"
)

// TestFrames changes bytes of a good frame, one place at a time.
func TestFrames(t *testing.T) {
	const pass, refuse, drop, end = "passed", "refused", "dropped", "end of connection"
	for _, test := range []struct {
		name     string
		old, new string // of littleGet; lengths are corrected by hand
		want     string
	}{
		{"as it is", "", "", pass},
		{"no reply expected", "l\x01\x00\x01", "l\x01\x01\x01", pass},
		{"unknown flags", "l\x01\x00\x01", "l\x01\xf8\x01", pass},
		{"no byte order", "l\x01\x00\x01", "x\x01\x00\x01", end},
		{"another version", "l\x01\x00\x01", "l\x01\x00\x02", end},
		{"type 0", "l\x01\x00\x01", "l\x00\x00\x01", drop},
		{"type 5", "l\x01\x00\x01", "l\x05\x00\x01", drop},
		{"a signal", "l\x01\x00\x01", "l\x04\x00\x01", drop},
		{"an answer without what it answers", "l\x01\x00\x01", "l\x02\x00\x01", drop},
		{"serial 0", "\x05\x00\x00\x00\x68", "\x00\x00\x00\x00\x68", drop},
		{"body of 128 MiB", "\x0e\x00\x00\x00\x05", "\x00\x00\x00\x08\x05", end},
		{"fields of 4 GiB", "\x68\x00\x00\x00", "\x68\x00\x00\xff", end},
		{"fields end in one", "\x68\x00\x00\x00", "\x66\x00\x00\x00", drop},
		{"fields end too early", "\x68\x00\x00\x00", "\x67\x00\x00\x00", drop},
		{"padding of the path", "/\x00\x00\x00", "/\x00\x01\x00", drop},
		{"path without its zero", "/\x00\x00\x00", "/x\x00\x00", drop},
		{"path that is none", "/\x00\x00\x00\x00\x00\x00\x00\x02", "x\x00\x00\x00\x00\x00\x00\x00\x02", drop},
		{"path of 4 GiB", "o\x00\x01\x00\x00\x00", "o\x00\xff\xff\xff\xff", drop},
		{"path of type s", "\x01\x01o", "\x01\x01s", drop},
		{"path that is field 0", "\x01\x01o", "\x00\x01o", drop},
		{"unknown field in place of the path", "\x01\x01o", "\xc8\x01o", drop},
		{"path twice", "\x07\x01s\x00\x04\x00\x00\x00:1.7\x00", "\x01\x01o\x00\x04\x00\x00\x00/1_7\x00", drop},
		{"interface of one element", "org.freedesktop.DBus", "org_freedesktop_DBus", refuse},
		{"invalid interface name", "org.freedesktop.DBus", "org..reedesktop.DBus", drop},
		{"unknown interface", "org.freedesktop.DBus", "org.freedesktop.Dbus", refuse},
		{"interface that is not UTF-8", "org.freedesktop.DBus", "org.freedesktop.DB\xffs", drop},
		{"unknown member", "Get\x00", "Got\x00", refuse},
		{"member of another signature", "Get\x00", "Set\x00", refuse},
		{"invalid member name", "Get\x00", "3et\x00", drop},
		{"another signature", "\x02ss\x00", "\x02so\x00", refuse},
		{"invalid signature", "\x02ss\x00", "\x02s{\x00", drop},
		{"signature without its zero", "\x02ss\x00", "\x02sss", drop},
		{"sender without a unique name", ":1.7\x00", "a1.7\x00", drop},
		{"no sender", "\x07\x01s\x00\x04", "\x06\x01s\x00\x04", drop},
		{"another field", "\x09\x01u", "\x0a\x01u", pass},
		{"file descriptors that do not come", "\x09\x01u\x00\x00", "\x09\x01u\x00\x01", refuse},
		{"first string not UTF-8", "ab\x00\x00", "a\x80\x00\x00", refuse},
		{"surrogate", "\x02\x00\x00\x00ab\x00\x00\x01\x00\x00\x00c\x00", "\x03\x00\x00\x00\xed\xa0\x80\x00\x01\x00\x00\x00c\x00", refuse},
		{"first string with a zero", "ab\x00\x00", "a\x00\x00\x00", refuse},
		{"first string too long", "\x02\x00\x00\x00ab", "\xff\xff\xff\xffab", refuse},
		{"padding between strings", "ab\x00\x00", "ab\x00\x01", refuse},
		{"second string without its zero", "c\x00", "cc", refuse},
		{"more than two strings", "\x0e\x00\x00\x00\x05", "\x0f\x00\x00\x00\x05", refuse},
		{"less than two strings", "\x0e\x00\x00\x00\x05", "\x0d\x00\x00\x00\x05", refuse},
	} {
		t.Run(strings.ReplaceAll(test.name, " ", "_"), func(t *testing.T) {
			if strings.Count(littleGet, test.old) != 1 && test.old != "" {
				t.Fatalf("%q is there %d times", test.old, strings.Count(littleGet, test.old))
			}
			in := strings.Replace(littleGet, test.old, test.new, 1)
			// A body that is said to be a byte longer or shorter is.
			switch in[4] {
			case '\x0f':
				in += "\x00"
			case '\x0d':
				in = in[:len(in)-1]
			}
			c := newConn(t, &fakeSocket{in: []byte(in + bigGet)}, declared...)
			got := end
			var first []byte
			if n, err := c.Read(make([]byte, 1)); n == 1 && err == nil {
				first = c.buffer
				switch call := c.Call(); {
				case first[0] == 'B':
					got = drop
				case call.Refused != "":
					got = refuse
				default:
					got = pass
				}
			}
			if got != test.want {
				t.Fatalf("%s, want %s", got, test.want)
			}
			if got != pass && got != refuse {
				return
			}
			head, _, _ := sizes(first)
			h, bad := parseHeader(first[:head])
			if bad != "" || h.serial != 5 || h.sender != ":1.7" || h.path != "/" || h.flags&^knownFlags != 0 {
				t.Errorf("let through with %s: %+v", bad, h)
			}
			if got == refuse && (h.body != 0 || h.signature != "") {
				t.Error("refused, and let through with its arguments")
			}
			if got == pass && (h.signature != "ss" || !bytes.HasSuffix(first, []byte(littleGet[len(littleGet)-14:]))) {
				t.Errorf("let through as %q", first)
			}
		})
	}
}

// TestByteOrders expects that both byte orders are let through as they are, in
// whatever pieces they come.
func TestByteOrders(t *testing.T) {
	for most := range 40 {
		c := newConn(t, &fakeSocket{in: []byte(littleGet + bigGet), most: most}, declared...)
		messages, calls := readAll(t, c)
		if len(messages) != 2 || len(calls) != 2 || calls[0].Refused+calls[1].Refused != "" || calls[1].Signature != "ss" {
			t.Fatalf("%d bytes at a time: %d messages", most, len(messages))
		}
		if messages[0][0] != 'l' || messages[1][0] != 'B' || !bytes.HasSuffix(messages[1], []byte("\x00\x00\x00\x01c\x00")) {
			t.Errorf("byte orders: %q", messages)
		}
	}
}

// A message is a message in a test, whose body is written by hand.
func message(h header, body string) []byte {
	if h.order == nil {
		h.order = orderOf('l')
	}
	if h.serial == 0 {
		h.serial = 5
	}
	if h.kind == methodCall {
		h.path = "/"
	}
	if h.sender == "" {
		h.sender = ":1.7"
	}
	h.body = uint32(len(body))
	return append(h.append(nil), body...)
}

func TestVariants(t *testing.T) {
	const start = "\x01\x00\x00\x00a\x00\x00\x00\x01\x00\x00\x00b\x00" // Set("a", "b", ...
	for _, test := range []struct {
		value string // from the 15th byte on
		ok    bool
	}{
		{"\x01y\x00\x07", true},
		{"\x01b\x00" + pad16 + "\x01\x00\x00\x00", true},
		{"\x01b\x00" + pad16 + "\x02\x00\x00\x00", false},
		{"\x01n\x00" + "\x00" + "\x01\x02", true},
		{"\x01n\x00" + "\x01" + "\x01\x02", false},
		{"\x01q\x00" + "\x00" + "\x01", false},
		{"\x01i\x00" + pad16 + "\x01\x00\x00\x00", true},
		{"\x01u\x00" + pad16 + "\x01\x00\x00\x00", true},
		{"\x01x\x00" + pad16 + "\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00", true},
		{"\x01t\x00" + pad16 + "\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00", false},
		{"\x01d\x00" + pad16 + "\x00\x00\x00\x00" + "\x01\x00\x00\x00\x00\x00\x00\x00", true},
		{"\x01s\x00" + pad16 + "\x01\x00\x00\x00a\x00", true},
		{"\x01o\x00" + pad16 + "\x02\x00\x00\x00/a\x00", true},
		{"\x01o\x00" + pad16 + "\x02\x00\x00\x00a/\x00", false},
		{"\x02as\x00\x00\x00" + "\x0d\x00\x00\x00" + "\x01\x00\x00\x00a\x00\x00\x00" + "\x00\x00\x00\x00\x00", true},
		{"\x02as\x00\x00\x00" + "\x0c\x00\x00\x00" + "\x01\x00\x00\x00a\x00\x00\x00" + "\x00\x00\x00\x00\x00", false},
		{"\x02as\x00\x00\x00" + "\x0e\x00\x00\x00" + "\x01\x00\x00\x00a\x00\x00\x00" + "\x00\x00\x00\x00\x00", false},
		{"\x02ao\x00\x00\x00" + "\x06\x00\x00\x00" + "\x01\x00\x00\x00/\x00", true},
		{"\x02ay\x00\x00\x00" + "\x03\x00\x00\x00" + "abc", true},
		{"\x02ay\x00\x00\x00" + "\x04\x00\x00\x00" + "abc", false},
		{"\x02ay\x00\x00\x00" + "\xff\xff\xff\xff" + "abc", false},
		{"\x01h\x00" + pad16 + "\x00\x00\x00\x00", false},
		{"\x01g\x00" + "\x01s\x00", false},
		{"\x01v\x00" + "\x01y\x00\x00", false},
		{"\x02au\x00\x00\x00" + "\x00\x00\x00\x00", false},
		{"\x02av\x00\x00\x00" + "\x00\x00\x00\x00", false},
		{"\x03aas\x00" + "\x00" + "\x00\x00" + "\x00\x00\x00\x00", false},
		{"\x03(y)\x00" + "\x00\x00\x00\x00\x00" + "\x00", false},
		{"\x05a{ss}\x00" + "\x00" + "\x00\x00\x00\x00", false},
		{"\x05a{sv}\x00" + "\x00" + "\x00\x00\x00\x00", false},
		{"\x00\x00", false},
		{"\x02yy\x00\x00\x00", false},
		{"\x01\xff\x00", false},
		{"\xff", false},
		{"", false},
	} {
		h := header{kind: methodCall, iface: "org.freedesktop.DBus.Properties", member: "Set", signature: "ssv"}
		c := newConn(t, &fakeSocket{in: message(h, start+test.value)}, declared...)
		_, calls := readAll(t, c)
		if len(calls) != 1 || (calls[0].Refused == "") != test.ok {
			t.Errorf("variant %q: %v", test.value, calls)
		}
	}
}

// pad16 fills from 14 bytes, a one-letter signature of three behind them, to a
// multiple of 4.
const pad16 = "\x00\x00\x00"

func TestSignatures(t *testing.T) {
	for _, s := range []string{
		"", "y", "ybnqiuxtdsoghv", "as", "aas", "a{sv}", "a{ya{ya{yy}}}", "(y)", "((y)(yy))", "a(sa{sv})", "aa{sv}u",
		strings.Repeat("a", 32) + "y", strings.Repeat("(", 32) + "y" + strings.Repeat(")", 32), strings.Repeat("y", 255),
	} {
		if !isSignature(s) {
			t.Errorf("%q is a signature", s)
		}
	}
	for _, s := range []string{
		"a", "aa", "()", "(", "(y", ")", "y)", "{sv}", "a{}", "a{s}", "a{sss}", "a{vs}", "a{(y)s}", "a{asy}", "a{sv", "a(", "z", "\x00", "r", "e",
		strings.Repeat("a", 33) + "y", strings.Repeat("(", 33) + "y" + strings.Repeat(")", 33), strings.Repeat("y", 256),
	} {
		if isSignature(s) {
			t.Errorf("%q is no signature", s)
		}
	}
}

func TestNames(t *testing.T) {
	for name, is := range map[string]func(string) bool{
		"/": isPath, "/a": isPath, "/a_1/2": isPath,
		"a.b": isInterface, "_a.b1.C": isInterface, "a" + strings.Repeat(".b", 127): isInterface,
		"a": isMember, "_": isMember, strings.Repeat("a", 255): isMember,
		":1.0": isUnique, ":1.a-b_2.3": isUnique,
	} {
		if !is(name) {
			t.Errorf("%q is not", name)
		}
	}
	for name, is := range map[string]func(string) bool{
		"": isPath, "a": isPath, "/a/": isPath, "//": isPath, "/a//b": isPath, "/ä": isPath, "/a-b": isPath,
		"a.": isInterface, "ab": isInterface, ".a": isInterface, "a..b": isInterface, "a.1b": isInterface, "a.b-c": isInterface, "a" + strings.Repeat(".b", 128): isInterface,
		"1a": isMember, "a.b": isMember, "\x00": isMember, strings.Repeat("a", 256): isMember,
		":": isUnique, ":1": isUnique, "1.0": isUnique, ":1.": isUnique, ":.1": isUnique, ":1..1": isUnique, ":1.0/": isUnique, "org.freedesktop.DBus": isUnique,
	} {
		if is(name) {
			t.Errorf("%q is", name)
		}
	}
}

// TestMethods: declared methods pass, with and without the interface.
func TestMethods(t *testing.T) {
	for _, test := range []struct {
		h    header
		body string
		ok   bool
	}{
		{header{iface: "org.freedesktop.DBus.Peer", member: "Ping"}, "", true},
		{header{member: "Ping"}, "", true},
		{header{member: "Ping", signature: "y"}, "\x00", false},
		{header{member: "Pong"}, "", false},
		{header{iface: "a.b", member: "Ping"}, "", false},
		{header{iface: "org.freedesktop.DBus.Properties", member: "Ping"}, "", false},
		// A member of two interfaces takes what either does.
		{header{member: "Get", signature: "u"}, "\x00\x00\x00\x00", true},
		{header{member: "Get", signature: "ss"}, littleGet[len(littleGet)-14:], true},
		{header{member: "Get", signature: "s"}, "\x00\x00\x00\x00\x00", false},
		{header{iface: "a.Other", member: "Get", signature: "u"}, "\x00\x00\x00\x00", true},
		{header{iface: "a.Other", member: "Get", signature: "ss"}, littleGet[len(littleGet)-14:], false},
		{header{member: "Subscribe", signature: "a{sv}"}, "\x00\x00\x00\x00" + "\x00\x00\x00\x00", true},
		{header{member: "Subscribe", signature: "a{sv}"}, "\x00\x00\x00\x00", false},
		{header{member: "Subscribe", signature: "a{sv}"}, "\x00\x00\x00\x00" + "\x00\x00\x00\x01", false},
		{header{member: "Subscribe", signature: "a{sv}"}, "\x0a\x00\x00\x00" + "\x00\x00\x00\x00" + "\x01\x00\x00\x00a\x00\x01y\x00\x07", true},
		{header{member: "Subscribe", signature: "a{bv}"}, "\x00\x00\x00\x00" + "\x00\x00\x00\x00", false},
	} {
		test.h.kind = methodCall
		c := newConn(t, &fakeSocket{in: message(test.h, test.body)}, declared...)
		_, calls := readAll(t, c)
		if len(calls) != 1 || (calls[0].Refused == "") != test.ok || calls[0].Signature != test.h.signature {
			t.Errorf("%s.%s(%s) %q: %+v", test.h.iface, test.h.member, test.h.signature, test.body, calls)
		}
	}
}

func TestSignalsLetThrough(t *testing.T) {
	const three = "\x01\x00\x00\x00a\x00\x00\x00" + "\x01\x00\x00\x00a\x00\x00\x00" + "\x00\x00\x00\x00\x00"
	for _, test := range []struct {
		h    header
		body string
		ok   bool
	}{
		{header{sender: busName, iface: busName, member: "NameOwnerChanged", signature: "sss"}, three, true},
		{header{sender: busName, iface: busName, member: "NameLost", signature: "s"}, three[:6], true},
		{header{sender: busName, iface: busName, member: "NameAcquired", signature: "s"}, three[:6], true},
		{header{sender: busName, iface: busName, member: "NameAcquired", signature: "s"}, three[:5], false},
		{header{sender: busName, iface: busName, member: "NameAcquired", signature: "o"}, "\x01\x00\x00\x00/\x00", false},
		{header{sender: busName, iface: busName, member: "NameAcquired"}, "", false},
		{header{sender: busName, iface: "a.c", member: "NameAcquired", signature: "s"}, three[:6], false},
		{header{sender: ":1.1", iface: busName, member: "NameOwnerChanged", signature: "sss"}, three, false},
		{header{sender: ":1.1", iface: "a.b", member: "C"}, "", false},
	} {
		test.h.kind, test.h.path = signalMessage, "/"
		c := newConn(t, &fakeSocket{in: message(test.h, test.body)})
		if messages, _ := readAll(t, c); len(messages) == 1 != test.ok {
			t.Errorf("%s of %s from %s, %q: %d", test.h.member, test.h.iface, test.h.sender, test.body, len(messages))
		}
	}
}

// TestReplies: an answer passes once, and only from the destination of the call.
func TestReplies(t *testing.T) {
	for _, test := range []struct {
		name string
		h    header
		body string
		want string // "", "same", "error"
	}{
		{"of the bus", header{replySerial: 1, sender: busName}, "", "same"},
		{"with a string", header{replySerial: 1, sender: busName, signature: "s"}, "\x00\x00\x00\x00\x00", "same"},
		{"with dictionaries, which no answer has", header{replySerial: 1, sender: busName, signature: "a{sv}"}, "\x00\x00\x00\x00\x00\x00\x00\x00", "error"},
		{"with a list that is cut", header{replySerial: 1, sender: busName, signature: "as"}, "\x0f\x00\x00\x00", "error"},
		{"not asked", header{replySerial: 9, sender: busName}, "", ""},
		{"without a reply", header{replySerial: 4, sender: busName}, "", ""},
		{"of somebody else", header{replySerial: 1, sender: ":1.9"}, "", ""},
		{"of whom was asked", header{replySerial: 2, sender: ":1.5"}, "", "same"},
		{"of whom was not asked", header{replySerial: 2, sender: ":1.6"}, "", ""},
		{"of the bus for him", header{replySerial: 2, sender: busName, kind: errorReply, errorName: "a.b"}, "", "same"},
		{"of a service", header{replySerial: 3, sender: ":1.6", signature: "(bba{ss})"}, "\x00\x00\x00\x00" + "\x01\x00\x00\x00" + "\x00\x00\x00\x00" + "\x00\x00\x00\x00", "same"},
		{"of no sender", header{replySerial: 3, sender: "a.b"}, "", ""},
		{"odd types", header{replySerial: 1, sender: busName, signature: "a{us}"}, "\x00\x00\x00\x00\x00\x00\x00\x00", "error"},
		{"odd variant", header{replySerial: 1, sender: busName, signature: "v"}, "\x01h\x00\x00\x00\x00\x00\x00", "error"},
		{"error", header{replySerial: 1, sender: busName, kind: errorReply, errorName: "a.b", signature: "s"}, "\x01\x00\x00\x00a\x00", "same"},
		{"error with more", header{replySerial: 1, sender: busName, kind: errorReply, errorName: "a.b", signature: "u"}, "\x01\x00\x00\x00", "bare"},
		{"error with a bad text", header{replySerial: 1, sender: busName, kind: errorReply, errorName: "a.b", signature: "s"}, "\x01\x00\x00\x00\xff\x00", "bare"},
		{"long", header{replySerial: 1, sender: busName, signature: "ay"}, "\xfc\xff\x1f\x00" + strings.Repeat("x", 0x1ffffc), "same"},
		{"too long", header{replySerial: 1, sender: busName, signature: "ay"}, "\xfc\xff\x3f\x00" + strings.Repeat("x", 0x3ffffc), "error"},
	} {
		if test.h.kind == 0 {
			test.h.kind = methodReturn
		}
		in := message(test.h, test.body)
		c := newConn(t, &fakeSocket{in: append(in, in...)}) // the second answers nothing
		for serial, to := range []string{1: busName, 2: ":1.5", 3: "org.freedesktop.PolicyKit1", 4: busName} {
			h := header{order: orderOf('l'), kind: methodCall, serial: uint32(serial), path: "/", member: "M", destination: to}
			if serial == 4 {
				h.flags = noReplyExpected
			}
			if _, err := c.Write(h.append(nil)); err != nil && serial > 0 {
				t.Fatal(err)
			}
		}
		messages, _ := readAll(t, c)
		got := ""
		if len(messages) == 1 {
			head, _, _ := sizes(messages[0])
			h, _ := parseHeader(messages[0][:head])
			switch {
			case h.errorName == errInconsistent:
				got = "error"
			case test.body != "" && h.body == 0:
				got = "bare"
			case h.replySerial == test.h.replySerial && bytes.HasSuffix(messages[0], []byte(test.body)):
				got = "same"
			}
		}
		if got != test.want || len(messages) > 1 {
			t.Errorf("answer %s: %q, want %q (%d messages)", test.name, got, test.want, len(messages))
		}
		if cap(c.buffer) > 2*maxCall {
			c.next()
			if cap(c.buffer)+cap(c.message) > 4*maxCall {
				t.Error("memory of a long answer is kept")
			}
		}
	}
}

// ping is a call with an argument of that many bytes.
func ping(sender string, serial, size uint32) []byte {
	h := header{kind: methodCall, iface: "a.b", member: "Bytes", signature: "ay", sender: sender, serial: serial}
	body := orderOf('l').AppendUint32(nil, size)
	return message(h, string(body)+strings.Repeat("x", int(size)))
}

var takesBytes = &introspection.Interface{Name: "a.b", Methods: []introspection.Method{
	{Name: "Bytes", Args: []introspection.Arg{{Type: "ay", Direction: "in"}}},
}}

// overLimit returns how many of calls are over a limit.
func overLimit(calls []*Call) (n int) {
	for _, call := range calls {
		if call.OverLimit {
			n++
		}
	}
	return n
}

func TestTooLong(t *testing.T) {
	for _, test := range []struct {
		size, over int
	}{
		{1000, 0}, {maxCall - 200, 0}, {maxCall, 1}, {maxArray - 200, 1}, {maxMessage - 200, 1},
	} {
		s := &fakeSocket{in: append(ping(":1.1", 1, uint32(test.size)), ping(":1.1", 2, 0)...)}
		c := newConn(t, s, takesBytes)
		if messages, calls := readAll(t, c); len(messages) != 2 || overLimit(calls) != test.over {
			t.Errorf("%d bytes: %d messages, %d over the limit", test.size, len(messages), overLimit(calls))
		}
		if got := cap(c.message) + cap(c.buffer); got > 4*maxCall {
			t.Errorf("%d bytes: a buffer of %d", test.size, got)
		}
	}
	// A header too long cannot be read for whom to answer.
	h := header{order: orderOf('l'), kind: methodCall, serial: 1, path: "/" + strings.Repeat("x", maxCall), member: "Bytes", sender: ":1.1"}
	s := &fakeSocket{in: append(h.append(nil), ping(":1.1", 2, 0)...)}
	if messages, _ := readAll(t, newConn(t, s, takesBytes)); len(messages) != 1 || s.out.Len() != 0 {
		t.Errorf("long header: %d messages", len(messages))
	}
	// Nor is anybody answered who does not wait.
	in := ping(":1.1", 1, maxCall)
	in[2] |= noReplyExpected
	s = &fakeSocket{in: in}
	if messages, _ := readAll(t, newConn(t, s, takesBytes)); len(messages) != 0 || s.out.Len() != 0 {
		t.Errorf("no reply expected: %d messages, %q", len(messages), s.out.String())
	}
}

// TestPromises: a message that promises much and ends costs nothing.
func TestPromises(t *testing.T) {
	h := header{kind: methodReturn, replySerial: 1, sender: busName, signature: "ay"}
	in := message(h, "\x00\x00\x00\x00")
	orderOf('l').PutUint32(in[4:], maxReply-1000)
	c := newConn(t, &fakeSocket{in: in})
	if _, err := c.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	if cap(c.message) > 64<<10 {
		t.Errorf("a buffer of %d for %d bytes", cap(c.message), len(in))
	}
}

// TestCallsWaiting: the limits of waiting calls: the number and the bytes of one
// sender, the bytes of all senders.
func TestCallsWaiting(t *testing.T) {
	var in []byte
	for serial := range uint32(maxCalls + 3) {
		in = append(in, ping(":1.1", serial+1, 1)...)
	}
	in = append(in, ping(":1.2", 1, 1)...)
	s := &fakeSocket{in: in}
	c := newConn(t, s, takesBytes)
	_, calls := readAll(t, c)
	if len(calls) != maxCalls+4 || overLimit(calls) != 3 {
		t.Fatalf("%d calls, %d over the limit", len(calls), overLimit(calls))
	}
	calls[0].End()
	calls[0].End()
	s.in = append(s.in, append(ping(":1.1", 1, 1), ping(":1.1", 1, 1)...)...)
	_, more := readAll(t, c)
	if len(more) != 2 || overLimit(more) != 1 {
		t.Errorf("after one call has ended %d of %d are over the limit", overLimit(more), len(more))
	}
	// Calls that the reader does not take have ended.
	s.in = append(s.in, bytes.Repeat(ping(":1.3", 1, 1), 100)...)
	if n, err := io.Copy(io.Discard, c); n == 0 || err != nil {
		t.Error(n, err)
	}
	c.Call().End()
	if got := len(c.calls.bySender); got != 2 {
		t.Errorf("%d senders", got)
	}
	for _, one := range append(calls, more...) {
		one.End()
	}
	if len(c.calls.bySender) != 0 || c.calls.bytes != 0 {
		t.Errorf("in the end: %d senders, %d bytes", len(c.calls.bySender), c.calls.bytes)
	}

	s.in, s.at = nil, 0
	for sender := range 200 {
		for range 6 {
			s.in = append(s.in, ping(fmt.Sprint(":1.", sender), 1, maxCall-300)...)
		}
	}
	s.in = append(s.in, ping(":2.1", 1, small)...)
	s.in = append(s.in, ping(":2.1", 2, small)...)
	_, calls = readAll(t, c)
	calls = slices.DeleteFunc(calls, func(one *Call) bool { return one.OverLimit })
	sum := 0
	for _, one := range calls {
		sum += one.size
		if got := c.calls.bySender[one.sender].calls; got > 4 {
			t.Errorf("%d calls of %s", got, one.sender)
		}
	}
	if sum < maxBytes-maxCall || sum > maxBytes+maxCall || calls[len(calls)-1].sender != ":2.1" {
		t.Errorf("%d bytes of all", sum)
	}
}

// withFDs returns littleGet with a header field that announces n descriptors.
func withFDs(n byte) []byte {
	const field = "\x09\x01u\x00"
	b := []byte(littleGet)
	b[strings.Index(littleGet, field)+len(field)] = n
	return b
}

// TestFDs sends messages with file descriptors attached over a socket. None is
// left open, and a call whose header announces any is refused.
func TestFDs(t *testing.T) {
	null, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer null.Close()
	before := openFDs()
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(pair[1]), "socket")
	socket, err := net.FileConn(file)
	if err != nil {
		t.Fatal(err)
	}
	file.Close()
	c := newConn(t, socket.(Socket), declared...)
	var want []bool
	for _, attached := range []int{0, 1, 3, 250} {
		for _, announced := range []byte{0, 1, 3} {
			oob := syscall.UnixRights(slices.Repeat([]int{int(null.Fd())}, attached)...)
			if err := syscall.Sendmsg(pair[0], withFDs(announced), oob, nil, 0); err != nil {
				t.Fatal(err)
			}
			want = append(want, announced > 0)
		}
	}
	syscall.Close(pair[0])
	_, calls := readAll(t, c)
	if len(calls) != len(want) {
		t.Fatalf("%d calls of %d", len(calls), len(want))
	}
	for i, call := range calls {
		if (call.Refused != "") != want[i] {
			t.Errorf("call %d: refused %q", i, call.Refused)
		}
		call.End()
	}
	c.Close()
	if after := openFDs(); after > before {
		t.Errorf("%d file descriptors were open, now %d", before, after)
	}
}

// TestAuthentication: everything passes until BEGIN, and file descriptors are
// not negotiated.
func TestAuthentication(t *testing.T) {
	s := &fakeSocket{in: []byte("OK 1\r\n" + littleGet)}
	c := New(s, Config{Interfaces: declared})
	c.Write([]byte("\x00AUTH\r\n"))
	line := make([]byte, 6)
	if _, err := io.ReadFull(c, line); err != nil || string(line) != "OK 1\r\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := c.Write([]byte("BEGIN\r\n")); err != nil || s.out.String() != "\x00AUTH\r\nBEGIN\r\n" {
		t.Errorf("%v, %q", err, s.out.String())
	}
	if messages, _ := readAll(t, c); len(messages) != 1 {
		t.Errorf("%d messages after BEGIN", len(messages))
	}
}

// TestWriteWhole: only whole messages are sent, and a failure ends the connection.
func TestWriteWhole(t *testing.T) {
	s := &fakeSocket{}
	c := newConn(t, s, declared...)
	for _, bad := range []string{"", "l", littleGet[:40], littleGet + "x", "x" + littleGet[1:], strings.Replace(littleGet, "Get", "3et", 1)} {
		if _, err := c.Write([]byte(bad)); err == nil || s.out.Len() > 0 {
			t.Errorf("%q was sent", bad)
		}
	}
	if n, err := c.Write([]byte(littleGet)); n != len(littleGet) || err != nil || s.out.String() != littleGet {
		t.Errorf("%d, %v", n, err)
	}
	broken := &brokenSocket{}
	c = New(broken, Config{})
	if _, err := c.Write([]byte("AUTH\r\n")); err == nil || !broken.closed {
		t.Error("a failure does not end the connection")
	}
	for _, begun := range []bool{false, true} {
		c.begun.Store(begun)
		if n, err := c.Read(make([]byte, 10)); n != 0 || err == nil {
			t.Errorf("read from a broken socket: %d, %v", n, err)
		}
	}
}

type brokenSocket struct{ fakeSocket }

func (*brokenSocket) Write([]byte) (int, error) { return 0, errors.New("broken") }

func (*brokenSocket) Read([]byte) (int, error) { return 0, errors.New("broken") }

// TestLog: however much is refused, the log stays short.
func TestLog(t *testing.T) {
	var log bytes.Buffer
	bad := strings.Replace(littleGet, "Get", "Got", 1)
	s := &fakeSocket{in: bytes.Repeat([]byte(bad), 10000)}
	c := New(s, Config{Interfaces: declared, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	c.begun.Store(true)
	readAll(t, c)
	if n := strings.Count(log.String(), "message refused"); n < refusalBurst || n > refusalBurst+3 {
		t.Errorf("%d lines for 10,000 messages", n)
	}
}

func TestMain(m *testing.M) {
	before := openFDs()
	code := m.Run()
	if after := openFDs(); code == 0 && after > before+4 { // the test framework may keep some
		fmt.Fprintf(os.Stderr, "%d file descriptors were open, now %d\n", before, after)
		code = 1
	}
	os.Exit(code)
}

func openFDs() int {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(entries)
}
