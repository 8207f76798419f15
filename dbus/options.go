package dbus

import (
	"fmt"
	"strings"

	godbus "github.com/godbus/dbus/v5"
)

// An option is a key that an options dictionary may hold.
type option struct {
	key   string
	value any // where it goes: *bool, *uint32, *string or *godbus.ObjectPath
}

// readOptions reads an options dictionary. A key that is not among the allowed
// ones, or that has another type, is an error that names them.
func readOptions(dict any, allowed ...option) error {
	for key, value := range dict.(map[string]godbus.Variant) {
		if !set(key, value, allowed) {
			return invalidArgs("option %q of type %s is not known; allowed: %s", text(key), value.Signature(), list(allowed))
		}
	}
	return nil
}

// set sets the option with that key. It reports whether there is one and the
// type is right.
func set(key string, value godbus.Variant, allowed []option) bool {
	for _, o := range allowed {
		if o.key == key {
			return o.set(value.Value())
		}
	}
	return false
}

func (o option) set(value any) (ok bool) {
	switch to := o.value.(type) {
	case *bool:
		*to, ok = value.(bool)
	case *uint32:
		*to, ok = value.(uint32)
	case *string:
		*to, ok = value.(string)
	case *godbus.ObjectPath:
		*to, ok = value.(godbus.ObjectPath)
	default:
		panic(fmt.Sprintf("option %s of type %T", o.key, o.value))
	}
	return ok
}

// list returns the options as people read them: "offset (u), server (s)".
func list(options []option) string {
	var s []string
	for _, o := range options {
		s = append(s, fmt.Sprintf("%s (%s)", o.key, godbus.SignatureOf(o.value)))
	}
	return strings.Join(s, ", ")
}
