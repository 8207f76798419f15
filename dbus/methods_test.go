package dbus

import (
	"bytes"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"
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
			call := methodCall(BusName, i.Name, declared.Name, declared.In())
			msg, err := godbus.DecodeMessage(bytes.NewReader(call.bytes()))
			if err != nil {
				t.Fatal(err)
			}
			// An argument of another type is a panic. The option in the call has no meaning.
			if _, err := m.decode(msg.Body); err != nil && !strings.Contains(err.Error(), "is not known") {
				t.Errorf("%s.%s: arguments of type %q: %v", i.Name, declared.Name, declared.In(), err)
			}
		}
	}
}
