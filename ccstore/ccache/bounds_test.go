package ccache

import (
	"bytes"
	"errors"
	"slices"
	"strings"
	"testing"
)

// TestBounds decodes what is as large as allowed, and a little larger.
func TestBounds(t *testing.T) {
	names := func(n int) Principal {
		return Principal{Realm: "R", Components: slices.Repeat([]string{"c"}, n)}
	}
	sized := func(n int) Principal {
		return Principal{Realm: "R", Components: []string{strings.Repeat("c", n-17)}} // 12 bytes, realm, length
	}
	realm := func(n int) Principal { return Principal{Realm: strings.Repeat("R", n-12)} }
	for _, tt := range []struct {
		name string
		make func(n int) *Credential
		most int
	}{
		{"components", func(n int) *Credential { return &Credential{Client: names(n)} }, MaxComponents},
		{"size of the client", func(n int) *Credential { return &Credential{Client: sized(n)} }, MaxPrincipalSize},
		{"size of the server", func(n int) *Credential { return &Credential{Server: sized(n)} }, MaxPrincipalSize},
		{"size of a realm", func(n int) *Credential { return &Credential{Server: realm(n)} }, MaxPrincipalSize},
		{"addresses", func(n int) *Credential { return &Credential{Addresses: make([]Address, n)} }, MaxEntries},
		{"authdata", func(n int) *Credential { return &Credential{AuthData: make([]AuthData, n)} }, MaxEntries},
	} {
		most := tt.make(tt.most).Append(nil)
		if c, err := ParseCredential(most); err != nil || !bytes.Equal(c.Append(nil), most) {
			t.Errorf("%s: %d: %v", tt.name, tt.most, err)
		}
		if _, err := ParseCredential(tt.make(tt.most + 1).Append(nil)); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %d: %v, want %v", tt.name, tt.most+1, err, ErrFormat)
		}
	}
}
