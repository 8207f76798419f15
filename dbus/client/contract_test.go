package client

import (
	"os"
	"reflect"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/introspection"
)

// TestContract compares the package with the XML: each method has one here, each
// property a field of its type, and each signal a reader.
func TestContract(t *testing.T) {
	methods := reflect.TypeFor[*Client]()
	for i, properties := range map[*introspection.Interface]reflect.Type{
		introspection.Manager:    reflect.TypeFor[Manager](),
		introspection.Collection: reflect.TypeFor[Collection](),
		introspection.Cache:      reflect.TypeFor[Cache](),
	} {
		for _, m := range i.Methods {
			if _, ok := methods.MethodByName(m.Name); !ok {
				t.Errorf("no method %s", m.Name)
			}
		}
		for _, p := range i.Properties {
			f, ok := properties.FieldByName(p.Name)
			if !ok || typeOf(f) != p.Type {
				t.Errorf("%v has no field %s of type %s", properties, p.Name, p.Type)
			}
		}
		if n := properties.NumField(); n != len(i.Properties) {
			t.Errorf("%v has %d fields for %d properties", properties, n, len(i.Properties))
		}
		for _, s := range i.Signals {
			if readers[i.Name+"."+s.Name] == nil {
				t.Errorf("no reader of the signal %s", s.Name)
			}
		}
	}
}

// TestTicketKeys compares the description of a ticket with the XML.
func TestTicketKeys(t *testing.T) {
	xml, err := os.ReadFile("../../introspection/org.kcmd.KCM1.Cache.xml")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(xml)
	for _, f := range reflect.VisibleFields(reflect.TypeFor[Ticket]()) {
		if !strings.Contains(doc, `"`+keyOf(f)+`"`) {
			t.Errorf("the description of a ticket has no %q", keyOf(f))
		}
	}
}

func typeOf(f reflect.StructField) string {
	if f.Type == timeType {
		return "x"
	}
	return godbus.SignatureOfType(f.Type).String()
}

// TestUnknownKeys reads what a later version may send.
func TestUnknownKeys(t *testing.T) {
	var c Cache
	err := decode(map[string]godbus.Variant{
		"Name": godbus.MakeVariant("KCM:1000"), "Later": godbus.MakeVariant(true), "EndTime": godbus.MakeVariant(int64(0)),
	}, &c)
	if err != nil || c.Name != "KCM:1000" || !c.EndTime.IsZero() {
		t.Errorf("%+v, %v", c, err)
	}
	if err := decode(map[string]godbus.Variant{"EndTime": godbus.MakeVariant("never")}, &c); err == nil || !strings.Contains(err.Error(), "EndTime") {
		t.Errorf("a time that is text: %v", err)
	}
	if e, err := event(&godbus.Signal{Name: cacheInterface + ".Later"}); e != nil || err != nil {
		t.Errorf("a later signal: %v, %v", e, err)
	}
	if _, err := event(&godbus.Signal{Name: cacheInterface + ".TicketsAdded", Body: []any{"none"}}); err == nil {
		t.Error("a signal with another argument is read")
	}
}
