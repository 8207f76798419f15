package safetext

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEscape(t *testing.T) {
	for in, want := range map[string]string{
		"":                       "",
		"alice@EXAMPLE.ORG":      "alice@EXAMPLE.ORG",
		`a\b"c`:                  `a\b"c`,
		"Zoë 東京 \u0301 ☕ \uFFFD": "Zoë 東京 \u0301 ☕ \uFFFD",
		"a\x00b\n\x1b[31m\x7f":   `a\x00b\x0A\x1B[31m\x7F`,
		"\xff\xc3(":              `\xFF\xC3(`,
		"\u009b31m":              `\xC2\x9B31m`,
		"\u202egro":              `\xE2\x80\xAEgro`,
		"a\u00a0b\u200bc":        `a\xC2\xA0b\xE2\x80\x8Bc`,
		"\ufdd0\ufffe\U0010ffff": `\xEF\xB7\x90\xEF\xBF\xBE\xF4\x8F\xBF\xBF`,
	} {
		if got := Escape(in); got != want {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
}

// Each character that a terminal obeys, that reorders what it shows, or that a
// D-Bus library refuses is escaped, wherever Unicode has it.
func TestEscapesWholeClasses(t *testing.T) {
	var unsafe []rune
	for _, r := range [][2]rune{{0, 0x1f}, {0x7f, 0x9f}, {0x61c, 0x61c}, {0x200b, 0x200f}, {0x2028, 0x202e}, {0x2066, 0x2069}, {0xfdd0, 0xfdef}, {0xfeff, 0xfeff}, {0xe0001, 0xe007f}} {
		for c := r[0]; c <= r[1]; c++ {
			unsafe = append(unsafe, c)
		}
	}
	for plane := rune(0); plane <= 0x10; plane++ {
		unsafe = append(unsafe, plane<<16|0xfffe, plane<<16|0xffff)
	}
	for _, r := range unsafe {
		if got := Escape("a" + string(r)); !strings.HasPrefix(got, `a\x`) {
			t.Errorf("%U is not escaped: %q", r, got)
		}
		quoted, err := json.Marshal("a" + string(r))
		if err != nil {
			t.Fatal(err)
		}
		if got := string(JSON(quoted)); strings.ContainsRune(got, r) {
			t.Errorf("%U is in the JSON %q", r, got)
		}
	}
}

func TestTruncate(t *testing.T) {
	for _, tt := range []struct {
		in   string
		most int
		want string
	}{
		{"abc", 3, "abc"},
		{"abcd", 3, "abc..."},
		{"a\n", 5, `a\x0A`},
		{"a\nb", 5, `a\x0A...`},
		{"a\n", 4, "a..."},
		{"a€", 4, "a€"},
		{"a€", 3, "a..."},
		{"a\u202e", 12, "a..."},
		{"a\u202e", 13, `a\xE2\x80\xAE`},
		{"\xff\xff", 7, `\xFF...`},
	} {
		if got := Truncate(tt.in, tt.most); got != tt.want {
			t.Errorf("%q at %d: got %s, want %s", tt.in, tt.most, got, tt.want)
		}
	}
}

func TestJSON(t *testing.T) {
	in := []string{"\u009b\u202e\x1b\ufdd0\U0010ffff\n", `a\"`, "Zoë ☕", "<&>"}
	encoded, err := json.Marshal(in)
	if err != nil {
		t.Fatal(err)
	}
	got := JSON(encoded)
	if want := `["\u009b\u202e\u001b\ufdd0\udbff\udfff\n","a\\\"","Zoë ☕","\u003c\u0026\u003e"]`; string(got) != want {
		t.Errorf("got %s, want %s", got, want)
	}
	var back []string
	if err := json.Unmarshal(got, &back); err != nil || fmt.Sprint(back) != fmt.Sprint(in) {
		t.Errorf("decoded: %q, %v", back, err)
	}
}

func FuzzEscape(f *testing.F) {
	f.Add("a\x00\xff\u202e", 7)
	f.Fuzz(func(t *testing.T, s string, most int) {
		got := Escape(s)
		if !isSafe(got) || !utf8.ValidString(got) || len(got) > 4*len(s) {
			t.Errorf("%q became %q", s, got)
		}
		if again := Escape(got); again != got {
			t.Errorf("%q escaped again is %q", got, again)
		}
		cut := Truncate(s, most)
		if short, ok := strings.CutSuffix(cut, "..."); cut != got && (!ok || len(short) > max(most, 0) || !strings.HasPrefix(got, short)) {
			t.Errorf("%q at %d: %q", s, most, cut)
		}
	})
}
