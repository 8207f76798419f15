package view

import (
	"encoding/asn1"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"kcmd.org/kcmd/ccstore/ccache"
)

func TestParsePath(t *testing.T) {
	user := NewScope(1000, "")
	for path, want := range map[string]Kind{
		"/":                              AtAncestor,
		"/org":                           AtAncestor,
		"/org/kcmd":                      AtAncestor,
		"/org/freedesktop":               AtAncestor,
		"/org/freedesktop/LogControl1":   AtLogControl,
		Root:                             AtManager,
		Users:                            AtUsers,
		Users + "/1000":                  AtCollection,
		Users + "/self":                  AtCollection,
		Users + "/self/cache":            AtCaches,
		Users + "/1000/cache/" + someHex: AtCache,
		Users + "/self/cache/" + someHex: AtCache,
	} {
		if got, ok := ParsePath(path, user); !ok || got.Kind != want || want >= AtCollection && got.UID != 1000 {
			t.Errorf("ParsePath(%q) = %v, %v", path, got, ok)
		}
	}
	for _, path := range []string{
		"/o", "/org/kcm", Root + "x", Root + "/users", Users + "/1001", Users + "/01000", Users + "/+1000",
		Users + "/4294968296", Users + "/1000/x", Users + "/1000/cache/x", Users + "/1000/cache/" + someHex + "/x",
		Users + "/1000/cache/" + strings.ToUpper(someHex), Users + "/1000/cache/" + someHex[1:],
	} {
		if got, ok := ParsePath(path, user); ok {
			t.Errorf("ParsePath(%q) = %v", path, got)
		}
	}
	if _, ok := ParsePath(Users+"/1001", NewScope(0, "")); !ok {
		t.Error("root does not see a user")
	}
}

const someHex = "0123456789abcdef0123456789abcdef"

func TestText(t *testing.T) {
	for in, want := range map[string]string{
		"":                           "",
		"alice@EXAMPLE.COM":          "alice@EXAMPLE.COM",
		"ä\ufffd":                    "ä\ufffd",
		"a\x00b\n":                   `a\x00b\x0A`,
		"\xff\xc3(":                  `\xFF\xC3(`,
		"\u0085":                     `\xC2\x85`,
		"a\ufdd0\U0001ffff":          `a\xEF\xB7\x90\xF0\x9F\xBF\xBF`, // sd-bus refuses these
		"\u202eabc":                  `\xE2\x80\xAEabc`,
		strings.Repeat("a", MaxText): strings.Repeat("a", MaxText),
	} {
		if got := Text(in); got != want {
			t.Errorf("Text(%q) = %q, want %q", in, got, want)
		}
	}
	for _, in := range []string{strings.Repeat("a", MaxText+1), strings.Repeat("\xff", 5000), strings.Repeat("€", 2000)} {
		got := Text(in)
		if len(got) > MaxText+3 || !strings.HasSuffix(got, "...") || !utf8.ValidString(got) {
			t.Errorf("text of %d bytes: %d bytes, %q", len(in), len(got), got[len(got)-10:])
		}
	}
}

// TestLongPrincipals: the text of a principal is that of all of it, for which not
// all of it is formatted.
func TestLongPrincipals(t *testing.T) {
	for _, n := range []int{1, 2, MaxText/2 - 2, MaxText/2 - 1, MaxText / 2, MaxText - 3, MaxText - 2, MaxText - 1, MaxText, MaxText + 1, MaxText + 9, 1 << 14} {
		for _, s := range []string{"a", "ä", "€", "\U0001f600", "/", "\xff", "\x00"} {
			long := strings.Repeat(s, n)
			for _, p := range []ccache.Principal{
				{Realm: long, Components: []string{"a"}}, {Realm: "R", Components: []string{long}}, {Realm: "R", Components: []string{"a", long, "b"}},
				{Realm: "R", Components: slices.Repeat([]string{s}, n)}, {Realm: long, Components: []string{long, long}},
			} {
				if got, want := principal(p), Text(p.String()); got != want {
					t.Errorf("%d times %q: %d bytes, want %d", n, s, len(got), len(want))
				}
			}
		}
	}
	fat := ccache.Principal{Realm: strings.Repeat("R", 8<<20), Components: slices.Repeat([]string{strings.Repeat("a", 1000)}, 8000)}
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range 100 {
		principal(fat)
	}
	if runtime.ReadMemStats(&after); after.TotalAlloc-before.TotalAlloc > 8<<20 {
		t.Errorf("%d bytes for 100 texts", after.TotalAlloc-before.TotalAlloc)
	}
}

func TestTicketEnctype(t *testing.T) {
	ticket := encodeTicket(17)
	if got := ticketEnctype(ticket); got != 17 {
		t.Errorf("enctype %d, want 17", got)
	}
	withoutVersion, err := asn1.MarshalWithParams(struct {
		Version int      `asn1:"explicit,tag:0"`
		Realm   string   `asn1:"explicit,tag:1"`
		Server  []string `asn1:"explicit,tag:2"`
		EncPart struct {
			Enctype int    `asn1:"explicit,tag:0"`
			Cipher  []byte `asn1:"explicit,tag:2"`
		} `asn1:"explicit,tag:3"`
	}{Version: 5, EncPart: struct {
		Enctype int    `asn1:"explicit,tag:0"`
		Cipher  []byte `asn1:"explicit,tag:2"`
	}{-128, nil}}, "application,explicit,tag:1")
	if err != nil {
		t.Fatal(err)
	}
	if got := ticketEnctype(withoutVersion); got != -128 {
		t.Errorf("enctype %d, want -128", got)
	}
	for n := range ticket {
		if got := ticketEnctype(ticket[:n]); got != 0 {
			t.Errorf("enctype %d of the first %d bytes", got, n)
		}
	}
	if got := ticketEnctype([]byte("yes")); got != 0 {
		t.Errorf("enctype %d of something else", got)
	}
}

func encodeTicket(enctype int) []byte {
	type encrypted struct {
		Enctype int    `asn1:"explicit,tag:0"`
		Version int    `asn1:"explicit,tag:1"`
		Cipher  []byte `asn1:"explicit,tag:2"`
	}
	der, err := asn1.MarshalWithParams(struct {
		Version int       `asn1:"explicit,tag:0"`
		Realm   string    `asn1:"explicit,tag:1"`
		Server  []string  `asn1:"explicit,tag:2"`
		EncPart encrypted `asn1:"explicit,tag:3"`
	}{5, "EXAMPLE.COM", []string{"krbtgt"}, encrypted{enctype, 1, []byte("secret")}}, "application,explicit,tag:1")
	if err != nil {
		panic(err)
	}
	return der
}
