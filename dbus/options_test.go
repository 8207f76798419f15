package dbus

import (
	"fmt"
	"math"
	"os"
	"reflect"
	"strings"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/introspection"
)

// integers are 1 in each type that D-Bus has for integers.
var integers = []any{byte(1), int16(1), uint16(1), int32(1), uint32(1), int64(1), uint64(1)}

// notUint32 are integers that a uint32 does not hold.
var notUint32 = []any{int16(-1), int32(-1), int64(-1), int64(math.MaxUint32 + 1), uint64(math.MaxUint32 + 1), uint64(math.MaxUint64)}

// TestOptions: every option takes its type, which the XML says; one that is a number
// takes any integer type, as client libraries choose it; no other takes an integer.
func TestOptions(t *testing.T) {
	for _, test := range []struct {
		iface  *introspection.Interface
		method string
		args   any // of the options alone
	}{
		{introspection.Manager, "Subscribe", new(struct{ Options subscribeOptions })},
		{introspection.Manager, "SubscribeProcess", new(struct{ Options subscribeOptions })},
		{introspection.Cache, "ListTickets", new(struct{ Options ticketOptions })},
		{introspection.Cache, "Renew", new(struct{ Options noOptions })},
		{introspection.Cache, "Verify", new(struct{ Options verifyOptions })},
		{introspection.Collection, "AcquireWithPassword", new(struct{ Options AcquireOptions })},
		{introspection.Collection, "AcquireWithKeytab", new(struct{ Options AcquireOptions })},
	} {
		name := test.iface.Name[strings.LastIndexByte(test.iface.Name, '.')+1:]
		xml, err := os.ReadFile("../introspection/" + test.iface.Name + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		options := reflect.ValueOf(test.args).Elem().Field(0)
		decode := func(key string, value any) error {
			options.SetZero()
			return link.Decode([]any{map[string]godbus.Variant{key: godbus.MakeVariant(value)}}, test.args)
		}
		for i := range options.NumField() {
			key, field := options.Type().Field(i).Tag.Get("option"), options.Field(i)
			what := fmt.Sprintf("%s.%s: %q", name, test.method, key)
			if !strings.Contains(string(xml), `"`+key+`"`) {
				t.Errorf("%s is not in the XML", what)
			}
			plain := field.Type()
			if plain.Kind() == reflect.Pointer {
				plain = plain.Elem()
			}
			if err := decode(key, reflect.Zero(plain).Interface()); err != nil {
				t.Errorf("%s of its own type: %v", what, err)
			}
			for _, value := range integers {
				err := decode(key, value)
				switch {
				case plain.Kind() == reflect.Uint32 && (err != nil || field.Uint() != 1):
					t.Errorf("%s of type %T: %v, %v", what, value, field, err)
				case plain.Kind() != reflect.Uint32 && err == nil:
					t.Errorf("%s takes a %T", what, value)
				}
			}
			for _, value := range notUint32 {
				if err := decode(key, value); err == nil {
					t.Errorf("%s takes %T %v", what, value, value)
				}
			}
			for _, value := range []any{1.0, []string{"x"}, []byte{1}, true, "x", godbus.ObjectPath("/x"), map[string]godbus.Variant{}} {
				if err := decode(key, value); (err == nil) != (reflect.TypeOf(value) == plain) {
					t.Errorf("%s of type %T: %v", what, value, err)
				}
			}
		}
		if err := decode("no-such", true); err == nil {
			t.Errorf("%s.%s takes an unknown option", name, test.method)
		}
	}
	for _, i := range []*introspection.Interface{introspection.Manager, introspection.Collection, introspection.Cache} {
		for _, m := range i.Methods {
			if strings.Contains(m.In(), "a{sv}") != strings.Contains(" Subscribe SubscribeProcess ListTickets Renew Verify AcquireWithPassword AcquireWithKeytab ", " "+m.Name+" ") {
				t.Errorf("the options of %s are not tested", m.Name)
			}
		}
	}
}
