package system

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ownName is the cache name that every user may make.
func ownName() string { return strconv.Itoa(os.Getuid()) }

// startWired starts a daemon without a bus, with the cache ownName, which must exist at
// the end of the test.
func startWired(t *testing.T) (socket string) {
	t.Helper()
	_, d := newLab(t)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if !d.Running() {
			t.Error("the daemon has ended")
		}
	})
	c := mustDial(t, d.Socket)
	defer c.Close()
	mustCall(t, c, opInitialize, name(ownName()), principal("alice"))
	mustCall(t, c, opStore, name(ownName()), credential("kept"))
	return d.Socket
}

func mustDial(t *testing.T, socket string) wire {
	t.Helper()
	c, err := dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func mustCall(t *testing.T, c wire, op uint16, args ...[]byte) []byte {
	t.Helper()
	code, data, err := c.call(op, args...)
	if err != nil || code != 0 {
		t.Fatalf("op %d: code %d, %v", op, code, err)
	}
	return data
}

// mustServe checks that the daemon answers, and that the cache is unchanged.
func mustServe(t *testing.T, socket string) {
	t.Helper()
	c := mustDial(t, socket)
	defer c.Close()
	got := mustCall(t, c, opGetPrincipal, name(ownName()))
	if want := principal("alice"); !bytes.Equal(got, want) {
		t.Errorf("the principal is %x, want %x", got, want)
	}
	creds, err := credentials(mustCall(t, c, opGetCredList, name(ownName())))
	if err != nil || len(creds) != 1 {
		t.Errorf("%d credentials, %v; want the one that was stored", len(creds), err)
	}
}

// The answer to a complete but malformed request is an error code, and the connection
// stays open.
func TestMalformedRequest(t *testing.T) {
	socket := startWired(t)
	own := name(ownName())
	tests := []struct {
		name string
		body []byte
		want int32
	}{
		{"unknown operation", body(999), codeInternal},
		{"operation of a later version", body(13099), codeInternal},
		{"no arguments", body(opGetPrincipal), codeFormat},
		{"name without end", body(opGetPrincipal, []byte("1000")), codeFormat},
		{"empty principal", body(opInitialize, own), codeFormat},
		{
			"principal with more components than bytes",
			body(opInitialize, own, be32(1), be32(0xffffffff), data("KCMD.TEST")),
			codeFormat,
		},
		{
			"realm longer than the request",
			body(opInitialize, own, be32(1), be32(1), be32(0x7fffffff), []byte("KCMD")),
			codeFormat,
		},
		{"credential cut short", body(opStore, own, credential("cut")[:40]), codeFormat},
		{"empty credential", body(opStore, own), codeFormat},
		{
			"replacement with more credentials than bytes",
			body(opReplace, own, be32(0), principal("alice"), be32(0xffffffff)),
			codeFormat,
		},
		{"unknown cache", body(opGetPrincipal, name(ownName()+":none")), codeNoFile},
		{"control character in a name", body(opInitialize, name("1\n"), principal("alice")), codeBadName},
	}
	c := mustDial(t, socket)
	defer c.Close()
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := c.Write(frame(tt.body)); err != nil {
				t.Fatalf("cannot send: %v", err)
			}
			code, _, err := c.reply()
			if err != nil {
				t.Fatalf("no reply: %v", err)
			}
			if code != tt.want {
				t.Errorf("code %d, want %d", code, tt.want)
			}
			// The same connection, so that a stream out of step is noticed.
			mustCall(t, c, opGetDefault)
			mustServe(t, socket)
		})
	}
}

// A frame with an impossible length ends its connection, and no other.
func TestMalformedFrame(t *testing.T) {
	socket := startWired(t)
	tests := []struct {
		name  string
		bytes []byte
	}{
		{"length 0", []byte{0, 0, 0, 0}},
		{"shorter than a header", []byte{0, 0, 0, 3, 2, 0, 0}},
		{"longer than allowed", []byte{0xff, 0xff, 0xff, 0xff, 2, 0, 0, 0}},
		{"one byte longer than 10 MiB", append(be32(10<<20+1), 2, 0, 0, 0)},
		{"version 1", []byte{0, 0, 0, 4, 1, 0, 0, 20}},
		{"version 2.1", []byte{0, 0, 0, 4, 2, 1, 0, 20}},
		{"another protocol", []byte("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := mustDial(t, socket)
			defer c.Close()
			if _, err := c.Write(tt.bytes); err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(c); isTimeout(err) {
				t.Errorf("the connection goes on (after %s)", hex.EncodeToString(got))
			}
			mustServe(t, socket)
		})
	}
}

func isTimeout(err error) bool {
	var ne net.Error
	return errors.As(err, &ne) && ne.Timeout()
}

// An incomplete frame delays no other client.
func TestUnfinishedFrame(t *testing.T) {
	socket := startWired(t)
	whole := frame(body(opGetPrincipal, name(ownName())))
	var waiting []wire
	for n := range whole {
		c := mustDial(t, socket)
		defer c.Close()
		if _, err := c.Write(whole[:n]); err != nil {
			t.Fatal(err)
		}
		waiting = append(waiting, c)
	}
	claims := mustDial(t, socket)
	defer claims.Close()
	if _, err := claims.Write(be32(10 << 20)); err != nil {
		t.Fatal(err)
	}

	mustServe(t, socket)

	// The frames that are completed get their answers.
	for n, c := range waiting {
		if _, err := c.Write(whole[n:]); err != nil {
			t.Fatal(err)
		}
		if code, got, err := c.reply(); err != nil || code != 0 || !bytes.Equal(got, principal("alice")) {
			t.Errorf("after %d bytes and the rest: code %d, %x, %v", n, code, got, err)
		}
	}
}

// A connection with an incomplete request is closed after client_timeout, an idle one
// is not.
func TestClientTimeout(t *testing.T) {
	_, d := newLab(t)
	if err := d.Start("--client-timeout", "500ms"); err != nil {
		t.Fatal(err)
	}
	idle := mustDial(t, d.Socket)
	defer idle.Close()
	mustCall(t, idle, opGetDefault)
	c := mustDial(t, d.Socket)
	defer c.Close()
	if _, err := c.Write(frame(body(opGetDefault))[:5]); err != nil {
		t.Fatal(err)
	}
	if b, err := io.ReadAll(c); len(b) > 0 || isTimeout(err) {
		t.Errorf("the connection goes on, with %x", b)
	}
	if !strings.Contains(d.Log(), "request stopped half way") {
		t.Error("the log does not say why")
	}
	time.Sleep(600 * time.Millisecond)
	mustCall(t, idle, opGetDefault)
}

// Requests in single bytes, and many requests in one write, are answered in order.
func TestPacing(t *testing.T) {
	socket := startWired(t)
	c := mustDial(t, socket)
	defer c.Close()
	one := frame(body(opGetPrincipal, name(ownName())))
	for _, b := range one {
		if _, err := c.Write([]byte{b}); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, err := c.reply(); code != 0 || err != nil {
		t.Errorf("byte by byte: code %d, %v", code, err)
	}

	other := frame(body(opGetPrincipal, name(ownName()+":none")))
	if _, err := c.Write(bytes.Repeat(append(bytes.Clone(one), other...), 50)); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		code, _, err := c.reply()
		want := []int32{0, codeNoFile}[i%2]
		if code != want || err != nil {
			t.Fatalf("reply %d: code %d, %v; want %d", i, code, err, want)
		}
	}
}

// A client that disconnects before the answer does no harm.
func TestClientLeaves(t *testing.T) {
	socket := startWired(t)
	for range 50 {
		c := mustDial(t, socket)
		for range 20 {
			if _, err := c.Write(frame(body(opGetCredList, name(ownName())))); err != nil {
				t.Fatal(err)
			}
		}
		c.Close()
	}
	mustServe(t, socket)
}
