package client

import (
	"fmt"
	"reflect"
	"time"

	godbus "github.com/godbus/dbus/v5"
)

var timeType = reflect.TypeFor[time.Time]()

// keyOf returns the key of a field in a dictionary.
func keyOf(f reflect.StructField) string {
	if key := f.Tag.Get("dbus"); key != "" {
		return key
	}
	return f.Name
}

// decode stores the values of a dictionary in the fields of the struct that into
// points to. It ignores keys without a field: later versions may add some.
func decode(values map[string]godbus.Variant, into any) error {
	s := reflect.ValueOf(into).Elem()
	for i := range s.NumField() {
		key := keyOf(s.Type().Field(i))
		v, ok := values[key]
		if !ok {
			continue
		}
		if err := store(v, s.Field(i)); err != nil {
			return fmt.Errorf("cannot read %s: %w", key, err)
		}
	}
	return nil
}

func store(v godbus.Variant, field reflect.Value) error {
	if field.Type() != timeType {
		return v.Store(field.Addr().Interface())
	}
	var seconds int64
	if err := v.Store(&seconds); err != nil {
		return err
	}
	t := time.Time{}
	if seconds != 0 {
		t = time.Unix(seconds, 0)
	}
	field.Set(reflect.ValueOf(t))
	return nil
}

func decodeTickets(list []map[string]godbus.Variant) ([]Ticket, error) {
	tickets := make([]Ticket, len(list))
	for i, values := range list {
		if err := decode(values, &tickets[i]); err != nil {
			return nil, err
		}
	}
	return tickets, nil
}
