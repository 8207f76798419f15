package kdc

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kcmd.org/kcmd/ccstore/ccache"
)

func testTGT(t testing.TB) *ccache.Credential {
	t.Helper()
	realm := "KCMD.TEST"
	c, err := (&ccache.Credential{
		Client: ccache.Principal{NameType: 1, Realm: realm, Components: []string{"alice"}},
		Server: ccache.Principal{NameType: 2, Realm: realm, Components: []string{"krbtgt", realm}},
		Key:    ccache.Key{Type: 18, Value: bytes.Repeat([]byte{7}, 32)},
		Ticket: []byte("a ticket"),
	}).Clone()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func requests(t testing.TB) []*Request {
	yes := true
	return []*Request{
		{Op: Renew, KDCOffset: -7, TGT: testTGT(t)},
		{Op: Validate, TGT: testTGT(t)},
		{Op: Verify, TGT: testTGT(t), Host: HostOptions{Service: "host", Optional: true}},
		{Op: Acquire, Principal: "alice", Password: []byte("p"), Ticket: TicketOptions{Lifetime: 60, Forwardable: &yes}},
		{Op: Acquire, Keytab: bytes.Repeat([]byte("k"), 100<<10)},
		{Op: ChangePassword, Principal: "alice", Password: []byte("p"), Next: []byte("q")},
		{Op: Network, Routes: "1"},
	}
}

// TestRequests writes requests and reads them, byte by byte.
func TestRequests(t *testing.T) {
	for _, r := range requests(t) {
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			t.Fatal(err)
		}
		got, err := ReadRequest(iotest.OneByteReader(&b))
		if err != nil {
			t.Errorf("%s: %v", r.Op, err)
			continue
		}
		if diff := cmp.Diff(r, got, cmpopts.IgnoreUnexported(ccache.Credential{})); diff != "" {
			t.Errorf("%s (-want +got):\n%s", r.Op, diff)
		}
	}
}

// TestReadAll reads messages around the sizes of the buffers, up to the limit.
func TestReadAll(t *testing.T) {
	for _, size := range []int{0, 1, 8<<10 - 1, 8 << 10, 8<<10 + 1, 32 << 10, maxMessage - 1, maxMessage} {
		want := strings.Repeat("m", size)
		got, err := readAll(iotest.HalfReader(strings.NewReader(want)))
		if err != nil || string(got) != want {
			t.Errorf("%d bytes: %d bytes, %v", size, len(got), err)
		}
	}
	if _, err := readAll(strings.NewReader(strings.Repeat("m", maxMessage+1))); !errors.Is(err, errMessage) {
		t.Errorf("a message above the limit: %v", err)
	}
	broken := errors.New("broken")
	if _, err := readAll(iotest.ErrReader(broken)); !errors.Is(err, broken) {
		t.Errorf("a stream that fails: %v", err)
	}
}

// FuzzReadRequest reads any bytes. What is a request is written as the same request.
func FuzzReadRequest(f *testing.F) {
	for _, r := range requests(f) {
		var b bytes.Buffer
		if err := r.Write(&b); err != nil {
			f.Fatal(err)
		}
		f.Add(b.Bytes())
	}
	f.Add([]byte(version))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := ReadRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		var again bytes.Buffer
		if err := r.Write(&again); err != nil {
			t.Fatal(err)
		}
		second, err := ReadRequest(&again)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(r, second, cmpopts.IgnoreUnexported(ccache.Credential{}), cmpopts.EquateEmpty()); diff != "" {
			t.Error(diff)
		}
	})
}

// FuzzReadReply reads any bytes as a reply.
func FuzzReadReply(f *testing.F) {
	var b bytes.Buffer
	if err := (&Reply{KDCOffset: 3, Credentials: []*ccache.Credential{testTGT(f)}}).Write(&b, nil); err != nil {
		f.Fatal(err)
	}
	f.Add(bytes.Clone(b.Bytes()))
	b.Reset()
	if err := (&Reply{}).Write(&b, &Failure{Reason: Unreachable, Text: "no KDC"}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		reply, err := readReply(bytes.NewReader(b))
		if (reply == nil) == (err == nil) {
			t.Errorf("%v and %v", reply, err)
		}
	})
}
