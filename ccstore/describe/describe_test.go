package describe_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/describe"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

const aliceName = "alice@EXAMPLE.COM"

// record returns the record that a backend has after a change.
func record(t *testing.T, owner ccstore.Owner, change func(tx *ccstore.Tx)) *ccstore.Record {
	t.Helper()
	b := memory.New()
	s := ccstore.Open(b, ccstore.Options{})
	defer s.Close()
	if err := s.Update(t.Context(), owner, func(tx *ccstore.Tx) error { change(tx); return nil }); err != nil {
		t.Fatal(err)
	}
	r, err := b.Load(t.Context(), owner)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// hostile makes caches whose names, labels and principals would steer a terminal.
func hostile(tx *ccstore.Tx) {
	setting := storetest.Config(aliceName, "fast_avail", "yes")
	setting.Server.Components = append(setting.Server.Components, "krbtgt/EXAMPLE.COM@EXAMPLE.COM")
	tx.Replace("1000", storetest.Principal(aliceName), -7, []*ccache.Credential{setting, storetest.TGT(aliceName)})
	tx.SetLabel("control \u009b, bidi \u202e")
	tx.Initialize("1000:\x1b[31mred\x9b", ccache.Principal{Realm: "R\x07\u202e", Components: []string{"line\nbreak", "\xfe\x1b]0;title\x07"}})
	tx.SetDefault("1000:\x1b")
}

// written returns what write writes, which must be printable.
func written(t *testing.T, write func(b *bytes.Buffer) error) string {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if i := bytes.IndexFunc(b.Bytes(), func(r rune) bool { return !unicode.IsPrint(r) && r != '\n' }); i >= 0 {
		t.Errorf("unsafe character at %d of %q", i, b.String())
	}
	return b.String()
}

// JSON has everything but secrets, and a decoder reads the same description.
func TestJSON(t *testing.T) {
	owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000, Level: "s0:c1"}
	described := describe.New(owner, record(t, owner, hostile))
	line := written(t, func(b *bytes.Buffer) error { return described.WriteJSON(b) })
	var got describe.Collection
	if err := json.Unmarshal([]byte(line), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*described, got); diff != "" {
		t.Errorf("decoded (-want +got):\n%s", diff)
	}
	for i := range got.Caches {
		c := &got.Caches[i]
		if len(c.UUID) != 36 || c.Changed == 0 {
			t.Errorf("cache %+v", c)
		}
		c.UUID, c.Changed = "", 0 // not the same each time
		for j := range c.Credentials {
			c.Credentials[j].UUID = ""
		}
	}
	want := describe.Collection{
		Namespace: "default", UID: 1000, Level: "s0:c1", Default: "1000:\x1b",
		Caches: []describe.Cache{
			{
				Name: "1000", Principal: aliceName, KDCOffset: -7, Expires: storetest.EndTime + 7,
				Credentials: []describe.Credential{
					{
						Setting: "fast_avail for krbtgt/EXAMPLE.COM@EXAMPLE.COM",
						Client:  aliceName, Server: got.Caches[0].Credentials[0].Server,
						Flags: []string{}, Size: got.Caches[0].Credentials[0].Size, TicketSize: 3,
					},
					{
						Client: aliceName, Server: "krbtgt/EXAMPLE.COM@EXAMPLE.COM",
						AuthTime: storetest.AuthTime, EndTime: storetest.EndTime, RenewUntil: storetest.RenewTill,
						Flags:   []string{"forwardable", "renewable", "initial", "pre-authenticated"},
						Enctype: 18, EnctypeName: "aes256-cts-hmac-sha1-96", Size: 196, TicketSize: 41,
					},
				},
			},
			{
				Name: `1000:\x1B[31mred\x9B`, Principal: got.Caches[1].Principal, Label: "control \u009b, bidi \u202e",
				Credentials: []describe.Credential{},
			},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("description (-want +got):\n%s", diff)
	}
}

// A description gives the reason why an entry is not in use, and nothing of its
// bytes.
func TestNotInUse(t *testing.T) {
	owner := ccstore.Owner{Namespace: "guests", UID: 1000}
	r := record(t, owner, hostile)
	last := slices.IndexFunc(r.Caches, func(c ccstore.CacheRecord) bool { return c.Name != "1000" })
	r.Caches[last].Quarantined = "wrong \x1b checksum"
	r.Credentials[0].Err = errors.New("no key")
	secret := []byte("the session key")
	r.Credentials[1].Data = secret
	described := describe.New(owner, r)
	table := written(t, func(b *bytes.Buffer) error { return described.WriteTable(b) })
	for _, want := range []string{
		"Collection of 1000 in guests, default KCM:1000:\\x1B\n",
		"    quarantined: wrong \\x1B checksum\n",
		" cannot be read: no key\n",
		" cannot be read: malformed ",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("no %q in\n%s", want, table)
		}
	}
	if line := written(t, func(b *bytes.Buffer) error { return described.WriteJSON(b) }); strings.Contains(table+line, string(secret)) {
		t.Errorf("secret in\n%s%s", table, line)
	}
	table = written(t, func(b *bytes.Buffer) error {
		return describe.Unreadable(owner, errors.New("bad \x9b page")).WriteTable(b)
	})
	if want := "Collection of 1000 in guests\n  cannot be read: bad \\x9B page\n\n"; table != want {
		t.Errorf("got %q, want %q", table, want)
	}
}
