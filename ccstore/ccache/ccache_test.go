package ccache_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"kcmd.org/kcmd/ccstore/ccache"
)

func TestPrincipalString(t *testing.T) {
	tests := []struct {
		principal ccache.Principal
		want      string
	}{
		{ccache.Principal{Realm: "R", Components: []string{"alice"}}, "alice@R"},
		{ccache.Principal{Realm: "R", Components: []string{"host", "a.example"}}, "host/a.example@R"},
		{ccache.Principal{Realm: "R", Components: []string{"a/b", "x@y", `c\d`}}, `a\/b/x\@y/c\\d@R`},
		{ccache.Principal{Realm: "A@B/C", Components: []string{"n\x00\t\n\b"}}, `n\0\t\n\b@A\@B/C`},
		{ccache.Principal{Components: []string{""}}, "@"},
		{ccache.Principal{}, "@"},
	}
	for _, tt := range tests {
		if got := tt.principal.String(); got != tt.want {
			t.Errorf("%#v: got %q, want %q", tt.principal, got, tt.want)
		}
	}
}

func TestPrincipalEqual(t *testing.T) {
	list := []ccache.Principal{
		{Realm: "R", Components: []string{"host", "a"}},
		{Realm: "S", Components: []string{"host", "a"}},
		{Realm: "R", Components: []string{"host", "b"}},
		{Realm: "R", Components: []string{"HOST", "a"}},
		{Realm: "R", Components: []string{"host"}},
		{Realm: "R", Components: []string{"host/a"}},
		{Realm: "R", Components: []string{"hosta", ""}},
		{Realm: "R", Components: []string{"host", "a", ""}},
		{Realm: "R"},
		{},
	}
	for i, p := range list {
		for j, q := range list {
			q.NameType = 3 // does not count
			if got := p.Equal(q); got != (i == j) {
				t.Errorf("%v, %v: Equal is %v", p, q, got)
			}
			if byName := p.EqualName(q); byName != (p.NameHash() == q.NameHash()) {
				t.Errorf("%v, %v: EqualName is %v, NameHash says otherwise", p, q, byName)
			}
			if got := p.RealmHash() == q.RealmHash(); got != (p.Realm == q.Realm) {
				t.Errorf("%v, %v: the same RealmHash: %v", p, q, got)
			}
		}
	}
}

// A credential with every field set, byte by byte.
var credentialBytes = []byte("" +
	"\x00\x00\x00\x01" + "\x00\x00\x00\x01" + // client: name type, component count
	"\x00\x00\x00\x01R" + // realm
	"\x00\x00\x00\x05alice" + // component
	"\x00\x00\x00\x02" + "\x00\x00\x00\x02" + // server
	"\x00\x00\x00\x01R" +
	"\x00\x00\x00\x06krbtgt" +
	"\x00\x00\x00\x01R" +
	"\xff\x7b" + "\x00\x00\x00\x03key" + // key type -133, key
	"\x65\x53\xf1\x00" + // authtime
	"\x65\x53\xf1\x64" + // starttime
	"\xff\xff\xff\xff" + // endtime
	"\x00\x00\x00\x07" + // renew_till
	"\x08" + // is_skey
	"\x40\xe1\x00\x00" + // ticket flags
	"\x00\x00\x00\x01" + "\x00\x02" + "\x00\x00\x00\x04\x7f\x00\x00\x01" + // addresses
	"\x00\x00\x00\x02" + "\x00\x01" + "\x00\x00\x00\x00" + "\xff\xef" + "\x00\x00\x00\x02ad" + // authdata
	"\x00\x00\x00\x06ticket" +
	"\x00\x00\x00\x06second")

func TestCredential(t *testing.T) {
	c, err := ccache.ParseCredential(credentialBytes)
	if err != nil {
		t.Fatal(err)
	}
	want := &ccache.Credential{
		Client:       ccache.Principal{NameType: 1, Realm: "R", Components: []string{"alice"}},
		Server:       ccache.Principal{NameType: 2, Realm: "R", Components: []string{"krbtgt", "R"}},
		Key:          ccache.Key{Type: -133, Value: []byte("key")},
		AuthTime:     1700000000,
		StartTime:    1700000100,
		EndTime:      0xffffffff,
		RenewTill:    7,
		IsSKey:       8,
		Flags:        ccache.FlagForwardable | ccache.FlagRenewable | ccache.FlagInitial | ccache.FlagPreAuthenticated | ccache.FlagEncPARep,
		Addresses:    []ccache.Address{{Type: 2, Data: []byte{127, 0, 0, 1}}},
		AuthData:     []ccache.AuthData{{Type: 1, Data: []byte{}}, {Type: -17, Data: []byte("ad")}},
		Ticket:       []byte("ticket"),
		SecondTicket: []byte("second"),
	}
	if diff := cmp.Diff(want, c, cmpopts.IgnoreUnexported(ccache.Credential{})); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	if got := want.Append(nil); !bytes.Equal(got, credentialBytes) {
		t.Errorf("encoded:\n%x, want\n%x", got, credentialBytes)
	}
	if !c.IsTGT() || c.IsConfig() {
		t.Errorf("IsTGT is %v, IsConfig is %v", c.IsTGT(), c.IsConfig())
	}
}

// TestCut cuts a credential at every byte: each time it is refused, and says where.
func TestCut(t *testing.T) {
	for n := range credentialBytes {
		c, err := ccache.ParseCredential(credentialBytes[:n])
		if c != nil || !errors.Is(err, ccache.ErrFormat) {
			t.Errorf("cut to %d bytes: %v, %v", n, c, err)
		}
	}
	if _, err := ccache.ParseCredential(append(bytes.Clone(credentialBytes), 0)); !errors.Is(err, ccache.ErrFormat) {
		t.Errorf("a byte too many: %v", err)
	}
}

// TestClaims claims more than there is: nothing is allocated for it.
func TestClaims(t *testing.T) {
	for _, in := range []string{
		"\x00\x00\x00\x01\xff\xff\xff\xff\x00\x00\x00\x00",                                   // components
		"\x00\x00\x00\x01\x00\x00\x00\x01\xff\xff\xff\xff",                                   // realm
		"\x00\x00\x00\x01\x7f\xff\xff\xff\x00\x00\x00\x01R\x00\x00\x00\x01a\x00\x00\x00\x00", // components
		"\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00\x00\x00\x00\x00\x00",                   // one missing
	} {
		if p, err := ccache.ParsePrincipal([]byte(in)); !errors.Is(err, ccache.ErrFormat) {
			t.Errorf("%x: %v, %v", in, p, err)
		}
	}
}

func TestKeyIsHidden(t *testing.T) {
	c := ccache.Credential{Key: ccache.Key{Type: 18, Value: []byte("very secret")}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c); strings.Contains(s, "very") || strings.Contains(s, "118, 101, 114") || strings.Contains(s, "0x76, 0x65") {
			t.Errorf("%s shows the key: %s", format, s)
		}
	}
}

func TestFlagNames(t *testing.T) {
	got := ccache.TicketFlags(0x40e10002).Names()
	want := []string{"forwardable", "renewable", "initial", "pre-authenticated", "enc-pa-rep"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("names (-want +got):\n%s", diff)
	}
	if got := ccache.TicketFlags(0).Names(); got == nil || len(got) != 0 {
		t.Errorf("no flags: %#v, want an empty list", got)
	}
}

// seeds returns the arguments, behind the cache name, of the captured requests
// of an operation.
func seeds(f *testing.F, op string) [][]byte {
	f.Helper()
	b, err := os.ReadFile("../../kcmserver/kcm/testdata/vectors.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors []struct{ Op, Request string }
	if err := json.Unmarshal(b, &vectors); err != nil {
		f.Fatal(err)
	}
	var list [][]byte
	for _, v := range vectors {
		if v.Op != op {
			continue
		}
		frame, err := hex.DecodeString(v.Request)
		if err != nil {
			f.Fatal(err)
		}
		const header = 8
		list = append(list, frame[header+bytes.IndexByte(frame[header:], 0)+1:])
	}
	if len(list) == 0 {
		f.Fatalf("no captured request of %s", op)
	}
	return list
}

func FuzzCredential(f *testing.F) {
	f.Add(credentialBytes)
	f.Add([]byte{})
	f.Add((&ccache.Credential{Addresses: make([]ccache.Address, ccache.MaxEntries+1)}).Append(nil))
	f.Add((&ccache.Credential{AuthData: make([]ccache.AuthData, ccache.MaxEntries)}).Append(nil))
	for _, seed := range seeds(f, "STORE") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ccache.ParseCredential(b)
		if err != nil {
			if c != nil || !errors.Is(err, ccache.ErrFormat) {
				t.Fatalf("%v, %v", c, err)
			}
			return
		}
		if got := c.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("decoded from\n%x, encodes to\n%x", b, got)
		}
		clone, err := c.Clone()
		if err != nil {
			t.Fatal(err)
		}
		if !c.Replaces(clone) || c.ReplaceHash() != clone.ReplaceHash() {
			t.Fatal("is not replaced by its clone")
		}
		if diff := cmp.Diff(c, clone, cmpopts.IgnoreUnexported(ccache.Credential{})); diff != "" || !bytes.Equal(clone.Bytes(), b) {
			t.Fatalf("clone (-want +got):\n%s\n%x, want\n%x", diff, clone.Bytes(), b)
		}
	})
}

func FuzzPrincipal(f *testing.F) {
	f.Add(ccache.Principal{NameType: 1, Realm: "R", Components: []string{"a", ""}}.Append(nil))
	f.Add(ccache.Principal{Components: make([]string, ccache.MaxComponents+1)}.Append(nil))
	f.Add(ccache.Principal{Realm: strings.Repeat("R", ccache.MaxPrincipalSize)}.Append(nil))
	for _, seed := range seeds(f, "INITIALIZE") {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := ccache.ParsePrincipal(b)
		if err != nil {
			if !errors.Is(err, ccache.ErrFormat) {
				t.Fatal(err)
			}
			return
		}
		if got := p.Append(nil); !bytes.Equal(got, b) {
			t.Fatalf("decoded from\n%x, encodes to\n%x", b, got)
		}
	})
}
