// Package safetext escapes text that a client has chosen, such as the name of a
// cache or of a principal, before a terminal, a log or a D-Bus message shows it.
//
// Escaped is every byte that is not UTF-8, and every character that is not a
// letter, a mark, a number, punctuation, a symbol or the ASCII space
// (unicode.IsPrint): control characters (C0, DEL, and C1 such as U+009B, which
// begins a command to a terminal), bidirectional controls (U+202E), spaces that
// look like others, and noncharacters (U+FDD0 to U+FDEF, U+nFFFE, U+nFFFF),
// for which sd-bus refuses a message.
//
// It is a leaf: it imports nothing of kcmd. The package has one file.
package safetext

import (
	"bytes"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

const hexDigits = "0123456789ABCDEF"

// Escape returns s with each unsafe byte, and each byte of an unsafe character,
// written as \xNN. A backslash in s stays as it is: the result is for people and
// cannot be decoded.
func Escape(s string) string {
	if isSafe(s) {
		return s
	}
	return escape(s, 4*len(s))
}

// Truncate returns s escaped as by Escape and cut to at most most bytes. What was
// cut ends in "...", which comes on top of most. A character or an escaped byte is
// never cut in two.
func Truncate(s string, most int) string {
	if len(s) <= most && isSafe(s) {
		return s
	}
	return escape(s, most)
}

// JSON returns a line of encoding/json's output with each unsafe character
// written as \uNNNN. A decoder reads the same strings from it.
func JSON(encoded []byte) []byte {
	var b bytes.Buffer
	for _, r := range string(encoded) {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r > 0xFFFF:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.Bytes()
}

func isSafe(s string) bool {
	for i, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError && isInvalid(s[i:]) {
			return false
		}
	}
	return true
}

// isInvalid reports whether s begins with a byte that is not UTF-8.
func isInvalid(s string) bool {
	r, n := utf8.DecodeRuneInString(s)
	return r == utf8.RuneError && n == 1
}

func escape(s string, most int) string {
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		safe := unicode.IsPrint(r) && !(r == utf8.RuneError && n == 1)
		size := n
		if !safe {
			size = len(`\xNN`) * n
		}
		if b.Len()+size > most {
			b.WriteString("...")
			break
		}
		if safe {
			b.WriteString(s[i : i+n])
		} else {
			writeBytes(&b, s[i:i+n])
		}
		i += n
	}
	return b.String()
}

func writeBytes(b *strings.Builder, s string) {
	for _, c := range []byte(s) {
		b.WriteString(`\x`)
		b.WriteByte(hexDigits[c>>4])
		b.WriteByte(hexDigits[c&0xF])
	}
}
