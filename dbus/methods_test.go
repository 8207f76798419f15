package dbus

import (
	"testing"

	"kcmd.org/kcmd/dbus/link"
)

// TestMethodTables: each declared method has a row, with the declared arguments,
// and no row is without a declaration.
func TestMethodTables(t *testing.T) {
	all := []*iface{peerInterface}
	for _, has := range interfacesOf {
		all = append(all, has...)
	}
	for _, i := range all {
		if len(i.methods) != len(i.Methods) {
			t.Errorf("%s: %d rows for %d methods", i.Name, len(i.methods), len(i.Methods))
		}
		for _, declared := range i.Methods {
			m, ok := i.methods[declared.Name]
			if !ok {
				t.Errorf("%s.%s has no row", i.Name, declared.Name)
				continue
			}
			if got := link.SignatureOf(m.arguments); got != declared.In() {
				t.Errorf("%s.%s decodes %q, the XML declares %q", i.Name, declared.Name, got, declared.In())
			}
		}
	}
}
