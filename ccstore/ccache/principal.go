package ccache

import (
	"encoding/binary"
	"strings"
)

// The largest principals that a Decoder accepts, far above those in the field.
const (
	MaxComponents    = 64
	MaxPrincipalSize = 4 << 10 // bytes, as marshalled
)

// A Principal is a Kerberos principal name (RFC 4120, section 6.2).
type Principal struct {
	NameType   int32 // RFC 4120, section 6.2; a hint only, never compared
	Realm      string
	Components []string
}

// Principal reads a principal.
func (d *Decoder) Principal(field string) Principal {
	p := Principal{NameType: int32(d.Uint32(field))}
	// The realm comes between the count and the components; a component takes
	// at least the four bytes of its length.
	n := d.count(field, 4, MaxComponents)
	start := d.off
	realm := d.Data(field)
	if d.tooLarge(field, start); d.err != nil {
		return Principal{}
	}
	if n == 0 {
		p.Realm = string(realm)
		return p
	}
	if left := len(d.in) - d.off; n > left/4 {
		d.Fail(field, "claims %d components, %d bytes are left", n, left)
		return Principal{}
	}
	for range n {
		d.Data(field)
	}
	if d.tooLarge(field, start); d.err != nil {
		return Principal{}
	}
	// The names are parts of one string, for which memory is taken once.
	all := string(d.in[start:d.off])
	again := Decoder{in: d.in[start:d.off]}
	next := func() string {
		name := again.Data(field)
		return all[again.off-len(name) : again.off]
	}
	p.Realm = next()
	p.Components = make([]string, n)
	for i := range p.Components {
		p.Components[i] = next()
	}
	return p
}

// tooLarge fails if the principal whose realm begins at start is too large.
func (d *Decoder) tooLarge(field string, start int) {
	const before = 8 // name type and count
	if size := d.off - start + before; size > MaxPrincipalSize {
		d.Fail(field, "%d bytes, allowed are %d", size, MaxPrincipalSize)
	}
}

// ParsePrincipal decodes a principal that fills b.
func ParsePrincipal(b []byte) (Principal, error) {
	d := NewDecoder(b)
	p := d.Principal("principal")
	if n := len(d.Rest()); n > 0 {
		d.Fail("principal", "%d bytes too many", n)
	}
	if err := d.Err(); err != nil {
		return Principal{}, err
	}
	return p, nil
}

// Append appends the marshalled principal to b.
func (p Principal) Append(b []byte) []byte {
	b = binary.BigEndian.AppendUint32(b, uint32(p.NameType))
	b = binary.BigEndian.AppendUint32(b, uint32(len(p.Components)))
	b = appendData(b, p.Realm)
	for _, c := range p.Components {
		b = appendData(b, c)
	}
	return b
}

// Equal reports whether p and q name the same principal. The name type is a
// hint and not part of the name (RFC 4120, section 6.2).
func (p Principal) Equal(q Principal) bool {
	return p.Realm == q.Realm && p.EqualName(q)
}

// EqualName reports whether p and q have the same components, in whatever realm.
func (p Principal) EqualName(q Principal) bool {
	if len(p.Components) != len(q.Components) {
		return false
	}
	for i := range p.Components {
		if p.Components[i] != q.Components[i] {
			return false
		}
	}
	return true
}

var (
	unparseComponent = strings.NewReplacer(
		`\`, `\\`, "/", `\/`, "@", `\@`, "\t", `\t`, "\n", `\n`, "\b", `\b`, "\x00", `\0`)
	unparseRealm = strings.NewReplacer(
		`\`, `\\`, "@", `\@`, "\t", `\t`, "\n", `\n`, "\b", `\b`, "\x00", `\0`)
)

// String returns the name as klist prints it (krb5_unparse_name): components
// joined by '/', then '@' and the realm, special characters with a backslash.
// Other bytes come as they are.
func (p Principal) String() string {
	var s strings.Builder
	for i, c := range p.Components {
		if i > 0 {
			s.WriteByte('/')
		}
		unparseComponent.WriteString(&s, c)
	}
	s.WriteByte('@')
	unparseRealm.WriteString(&s, p.Realm)
	return s.String()
}
