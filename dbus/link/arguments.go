package link

import (
	"fmt"
	"math"
	"reflect"
	"strings"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/safetext"
)

// The arguments of a method are a Go struct with a field for each. A field that
// is a struct itself is an options dictionary (a{sv}): its fields have the tag
// "option" with the key, and a method SetDefaults if not all are zero. An option that is a
// pointer is nil if it is left out. A Handle is a file descriptor (h).

type defaulter interface{ SetDefaults() }

var variantType = reflect.TypeFor[godbus.Variant]()

func isOptions(t reflect.Type) bool { return t.Kind() == reflect.Struct && t != variantType }

// Decode sets the struct that to points to to the arguments of a call, which has
// its signature. The error is for the caller.
func Decode(body []any, to any) error {
	v := reflect.ValueOf(to).Elem()
	if v.NumField() != len(body) {
		return fmt.Errorf("%d arguments; allowed: %d", len(body), v.NumField())
	}
	for i := range v.NumField() {
		field := v.Field(i)
		if index, ok := body[i].(godbus.UnixFDIndex); ok {
			field.Set(reflect.ValueOf(Handle(index)))
			continue
		}
		if !isOptions(field.Type()) {
			field.Set(reflect.ValueOf(body[i]))
			continue
		}
		if d, ok := field.Addr().Interface().(defaulter); ok {
			d.SetDefaults()
		}
		for key, value := range body[i].(map[string]godbus.Variant) {
			if err := setOption(field, key, value); err != nil {
				return err
			}
		}
	}
	return nil
}

// setOption sets the field of that key. An integer of any type will do: which
// one a client library takes is not up to its user.
func setOption(options reflect.Value, key string, value godbus.Variant) error {
	for i := range options.NumField() {
		if options.Type().Field(i).Tag.Get("option") != key {
			continue
		}
		field, v := options.Field(i), reflect.ValueOf(value.Value())
		if field.Kind() == reflect.Pointer && v.Type() == field.Type().Elem() {
			field.Set(reflect.New(v.Type()))
			field.Elem().Set(v)
			return nil
		}
		if n, isInteger := integer(v); isInteger && field.Kind() == reflect.Uint32 {
			if n < 0 || n > math.MaxUint32 {
				return fmt.Errorf("option %q is %v; allowed: 0 to %d", key, value.Value(), uint32(math.MaxUint32))
			}
			field.SetUint(uint64(n))
			return nil
		}
		if v.Type() != field.Type() {
			return fmt.Errorf("option %q has type %s; allowed: %s", key, value.Signature(), list(options.Type()))
		}
		field.Set(v)
		return nil
	}
	return fmt.Errorf("option %q of type %s is not known; allowed: %s", safetext.Truncate(key, 64), value.Signature(), list(options.Type()))
}

// integer returns the value of an integer of any type. One that is larger than
// an int64 is the largest int64.
func integer(v reflect.Value) (n int64, ok bool) {
	switch {
	case v.CanInt():
		return v.Int(), true
	case v.CanUint():
		return int64(min(v.Uint(), math.MaxInt64)), true
	}
	return 0, false
}

// list returns options as people read them: "offset (u), server (s)".
func list(options reflect.Type) string {
	var s []string
	for i := range options.NumField() {
		f := options.Field(i)
		t := f.Type
		if t.Kind() == reflect.Pointer {
			t = t.Elem()
		}
		s = append(s, fmt.Sprintf("%s (%s)", f.Tag.Get("option"), godbus.SignatureOfType(t)))
	}
	return strings.Join(s, ", ")
}
