package dbus

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// maxText is the length in bytes at which names are cut. No real one is as long;
// but clients may store names of megabytes, and the bus cuts off a service whose
// messages are too long for it.
const maxText = 1024

// text returns s as a D-Bus string can hold it: control characters and bytes
// that are not UTF-8 are written as \xNN, and what is too long is cut.
func text(s string) string {
	if len(s) <= maxText && strings.IndexFunc(s, unicode.IsControl) < 0 && utf8.ValidString(s) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		escape := r == utf8.RuneError && n == 1 || unicode.IsControl(r)
		if b.Len()+4*n > maxText {
			b.WriteString("...")
			break
		}
		if !escape {
			b.WriteString(s[i : i+n])
		}
		for _, c := range []byte(s[i : i+n]) {
			if escape {
				fmt.Fprintf(&b, `\x%02X`, c)
			}
		}
		i += n
	}
	return b.String()
}
