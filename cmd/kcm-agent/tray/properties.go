package tray

import godbus "github.com/godbus/dbus/v5"

const propertiesIface = "org.freedesktop.DBus.Properties"

// properties are those of an object.
type properties map[string]any

// propertiesObject answers for the properties of an interface.
type propertiesObject struct {
	t     *Tray
	iface string
}

func (o propertiesObject) values() properties {
	if o.iface == itemIface {
		return o.t.item
	}
	return menuProperties
}

// Get is the method of D-Bus.
func (o propertiesObject) Get(iface, name string) (godbus.Variant, *godbus.Error) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	v, ok := o.values()[name]
	if iface != o.iface || !ok {
		return godbus.Variant{}, godbus.NewError("org.freedesktop.DBus.Error.UnknownProperty", []any{"there is no property " + name})
	}
	return godbus.MakeVariant(v), nil
}

// GetAll is the method of D-Bus.
func (o propertiesObject) GetAll(iface string) (map[string]godbus.Variant, *godbus.Error) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	all := make(map[string]godbus.Variant)
	if iface == o.iface {
		for name, v := range o.values() {
			all[name] = godbus.MakeVariant(v)
		}
	}
	return all, nil
}

// Set is the method of D-Bus.
func (o propertiesObject) Set(_, name string, _ godbus.Variant) *godbus.Error {
	return godbus.NewError("org.freedesktop.DBus.Error.PropertyReadOnly", []any{name + " cannot be set"})
}
