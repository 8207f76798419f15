package guard

import (
	"encoding/binary"
	"slices"
	"strings"
	"unicode/utf8"
)

// Limits of the D-Bus specification.
const (
	maxArray     = 64 << 20
	maxMessage   = 128 << 20
	maxName      = 255 // bus names, interfaces, members, error names
	maxSignature = 255
	maxNesting   = 32 // arrays in arrays, and structures in structures
	maxVariants  = 64 // variants in variants, and whatever is between them
)

// An order is a byte order: each sender on the bus chooses one of two.
type order interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// orderOf returns the byte order that the first byte of a message names.
func orderOf(b byte) order {
	switch b {
	case 'l':
		return binary.LittleEndian
	case 'B':
		return binary.BigEndian
	}
	return nil
}

// padding returns how many bytes bring n up to a multiple of to.
func padding(n, to int) int { return -n & (to - 1) }

// A decoder reads marshalled values and finds their faults. After
// the first fault it is at the end and returns zeros.
type decoder struct {
	order order
	b     []byte
	at    int    // counts from where alignment does
	bad   string // the first fault, "" for none

	variants []string // signatures that a variant may have; nil: any
	depth    int      // variants around this value
	fds      uint32   // file descriptors of the message
}

func (d *decoder) fail(why string) {
	if d.bad == "" {
		d.bad = why
		d.at = len(d.b)
	}
}

// take returns the next n bytes, or nil where there are fewer.
func (d *decoder) take(n uint64) []byte {
	if d.bad != "" || n > uint64(len(d.b)-d.at) {
		d.fail("too short")
		return nil
	}
	start := d.at
	d.at += int(n)
	return d.b[start:d.at]
}

// align skips padding, which must be zeros.
func (d *decoder) align(to int) {
	for _, b := range d.take(uint64(padding(d.at, to))) {
		if b != 0 {
			d.fail("padding that is not zero")
		}
	}
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) uint32() uint32 {
	d.align(4)
	if b := d.take(4); b != nil {
		return d.order.Uint32(b)
	}
	return 0
}

// text returns n bytes that a zero follows, which is in none of them.
func (d *decoder) text(n uint32) string {
	b := d.take(uint64(n) + 1)
	if b == nil {
		return ""
	}
	s := string(b[:n])
	if b[n] != 0 || strings.IndexByte(s, 0) >= 0 {
		d.fail("string with a zero byte inside, or without one at its end")
		return ""
	}
	return s
}

func (d *decoder) string() string {
	s := d.text(d.uint32())
	if !utf8.ValidString(s) {
		d.fail("string that is not UTF-8")
		return ""
	}
	return s
}

func (d *decoder) path() string {
	s := d.string()
	if d.bad == "" && !isPath(s) {
		d.fail("invalid object path")
	}
	return s
}

func (d *decoder) signature() string {
	s := d.text(uint32(d.byte()))
	if d.bad == "" && !isSignature(s) {
		d.fail("invalid signature")
	}
	return s
}

// values skips values of that signature, which is valid.
func (d *decoder) values(signature string) {
	for signature != "" && d.bad == "" {
		one, rest := first(signature)
		d.value(one)
		signature = rest
	}
}

// value skips one value of a complete type.
func (d *decoder) value(t string) {
	switch t[0] {
	case 's':
		d.string()
	case 'o':
		d.path()
	case 'g':
		d.signature()
	case 'b':
		if d.uint32() > 1 {
			d.fail("boolean that is neither 0 nor 1")
		}
	case 'h':
		if d.uint32() >= d.fds {
			d.fail("file descriptor that is not there")
		}
	case 'v':
		d.variant()
	case 'a':
		d.array(t[1:])
	case '(', '{':
		d.align(8)
		d.values(t[1 : len(t)-1])
	default:
		d.align(alignment(t))
		d.take(uint64(alignment(t)))
	}
}

func (d *decoder) variant() {
	t := d.signature()
	switch {
	case d.bad != "":
		return
	case d.variants != nil && !slices.Contains(d.variants, t):
		d.fail("variant of type \"" + t + "\"")
		return
	case !isComplete(t):
		d.fail("variant without a single type")
		return
	case d.depth == maxVariants:
		d.fail("variants nested too deeply")
		return
	}
	d.depth++
	d.value(t)
	d.depth--
}

func (d *decoder) array(element string) {
	n := d.uint32()
	d.align(alignment(element))
	if n > maxArray || uint64(n) > uint64(len(d.b)-d.at) {
		d.fail("array longer than the message")
	}
	if d.bad != "" {
		return
	}
	end := d.at + int(n)
	if strings.Contains("ynqiuxtd", element) {
		if n%uint32(alignment(element)) != 0 {
			d.fail("array with an incomplete element")
			return
		}
		d.at = end
		return
	}
	for d.at < end && d.bad == "" {
		d.value(element)
	}
	if d.at != end {
		d.fail("array of a wrong length")
	}
}

// alignment returns the alignment of a type, which of numbers is their size too.
func alignment(t string) int {
	switch t[0] {
	case 'n', 'q':
		return 2
	case 'b', 'i', 'u', 'h', 's', 'o', 'a':
		return 4
	case 'x', 't', 'd', '(', '{':
		return 8
	}
	return 1 // y g v
}

// first splits a signature that is valid and not empty after its first
// complete type.
func first(signature string) (one, rest string) {
	n, _ := complete(signature, 0, 0)
	return signature[:n], signature[n:]
}

// isSignature reports whether s is a signature: any number of complete types.
func isSignature(s string) bool {
	if len(s) > maxSignature {
		return false
	}
	for s != "" {
		n, ok := complete(s, 0, 0)
		if !ok {
			return false
		}
		s = s[n:]
	}
	return true
}

// isComplete reports whether s, a signature, is one complete type.
func isComplete(s string) bool {
	n, ok := complete(s, 0, 0)
	return ok && n == len(s)
}

const basicTypes = "ybnqiuxtdsogh"

// complete returns the length of the complete type that s begins with, within
// that many arrays and structures.
func complete(s string, arrays, structs int) (int, bool) {
	switch {
	case s == "":
		return 0, false
	case s[0] == 'v' || strings.IndexByte(basicTypes, s[0]) >= 0:
		return 1, true
	case s[0] == '(':
		return members(s, ')', arrays, structs+1)
	case s[0] != 'a' || arrays == maxNesting:
		return 0, false
	case len(s) > 2 && s[1] == '{' && strings.IndexByte(basicTypes, s[2]) >= 0:
		n, ok := members(s[1:], '}', arrays+1, structs+1)
		return n + 1, ok
	}
	n, ok := complete(s[1:], arrays+1, structs)
	return n + 1, ok
}

// members returns the length of a structure or a dictionary entry, of which the
// latter has exactly two members.
func members(s string, end byte, arrays, structs int) (int, bool) {
	if structs > maxNesting {
		return 0, false
	}
	at, count := 1, 0
	for ; at < len(s) && s[at] != end; count++ {
		n, ok := complete(s[at:], arrays, structs)
		if !ok {
			return 0, false
		}
		at += n
	}
	return at + 1, at < len(s) && count > 0 && (end == ')' || count == 2)
}

func isPath(s string) bool {
	if s == "/" {
		return true
	}
	rest, ok := strings.CutPrefix(s, "/")
	for element := range strings.SplitSeq(rest, "/") {
		ok = ok && isElement(element, "")
	}
	return ok
}

// isInterface reports whether s may be an interface or the name of an error.
func isInterface(s string) bool {
	elements := strings.Split(s, ".")
	ok := len(elements) >= 2 && len(s) <= maxName
	for _, element := range elements {
		ok = ok && isMember(element)
	}
	return ok
}

func isMember(s string) bool {
	return len(s) <= maxName && isElement(s, "") && (s[0] < '0' || s[0] > '9')
}

// isUnique reports whether s may be the unique name of a connection.
func isUnique(s string) bool {
	rest, ok := strings.CutPrefix(s, ":")
	ok = ok && strings.Contains(rest, ".") && len(s) <= maxName
	for element := range strings.SplitSeq(rest, ".") {
		ok = ok && isElement(element, "-")
	}
	return ok
}

// isElement reports whether s is not empty and of letters, digits, "_" and also.
func isElement(s, also string) bool {
	for _, c := range []byte(s) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || strings.IndexByte(also, c) >= 0) {
			return false
		}
	}
	return s != ""
}
