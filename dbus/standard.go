package dbus

import (
	"fmt"
	"os"
	"strings"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/introspection"
)

// The interfaces that the D-Bus specification defines.
var (
	peerInterface = &iface{introspection.Peer, map[string]method{
		"Ping":         {run: ping},
		"GetMachineId": {run: getMachineID},
	}}

	introspectableInterface = &iface{introspection.Introspectable, map[string]method{
		"Introspect": {prepare: prepareIntrospect, run: introspect},
	}}

	propertiesInterface = &iface{introspection.Properties, map[string]method{
		"Get":    {run: getProperty},
		"GetAll": {run: getAllProperties},
		"Set":    {run: setProperty},
	}}

	objectManagerInterface = &iface{introspection.ObjectManager, map[string]method{
		"GetManagedObjects": {run: getManagedObjects, needs: all},
	}}
)

func ping(*bus, *call, object) ([]any, error) { return nil, nil }

// getMachineID answers what the specification says: the machine's id, which is
// not the id of the bus that godbus would answer.
func getMachineID(*bus, *call, object) ([]any, error) {
	for _, file := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if id, err := os.ReadFile(file); err == nil {
			return []any{text(strings.TrimSpace(string(id)))}, nil
		}
	}
	return nil, &fault{errFileNotFound, "the machine has no id"}
}

func prepareIntrospect(b *bus, c *call) error {
	if c.where.kind == kindUsers {
		return findUIDs(b, c)
	}
	return nil
}

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

func introspect(b *bus, c *call, _ object) ([]any, error) {
	var s strings.Builder
	s.WriteString(doctype + "<node>\n" + introspection.Peer.XML)
	for _, i := range interfacesOf[c.where.kind] {
		s.WriteString(i.XML)
	}
	for _, name := range b.children(c, c.where) {
		fmt.Fprintf(&s, "  <node name=%q/>\n", name)
	}
	s.WriteString("</node>\n")
	return []any{s.String()}, nil
}

// propertiesOf returns the properties of an interface at the place of c: none of
// the standard interfaces has any. "" is the interface of ours.
func propertiesOf(b *bus, c *call, o object, name string) (map[string]any, error) {
	own := c.where.own()
	if name == "" || name == own.Name {
		return o.properties(b, c), nil
	}
	if _, err := c.where.iface(name); err != nil && name != introspection.Peer.Name {
		return nil, err
	}
	return nil, nil
}

func unknownProperty(name string) error {
	return &fault{errUnknownProperty, fmt.Sprintf("the interface has no property %q", text(name))}
}

func getProperty(b *bus, c *call, o object) ([]any, error) {
	properties, err := propertiesOf(b, c, o, c.body[0].(string))
	if err != nil {
		return nil, err
	}
	value, ok := properties[c.body[1].(string)]
	if !ok {
		return nil, unknownProperty(c.body[1].(string))
	}
	return []any{godbus.MakeVariant(value)}, nil
}

// getAllProperties also subscribes the caller: it is what a proxy object of a
// client library begins with.
func getAllProperties(b *bus, c *call, o object) ([]any, error) {
	name := c.body[0].(string)
	if name == c.where.own().Name {
		b.subscribeImplicitly(c)
	}
	properties, err := propertiesOf(b, c, o, name)
	if err != nil {
		return nil, err
	}
	return []any{variants(properties)}, nil
}

func setProperty(b *bus, c *call, o object) ([]any, error) {
	properties, err := propertiesOf(b, c, o, c.body[0].(string))
	if err != nil {
		return nil, err
	}
	name := c.body[1].(string)
	if _, ok := properties[name]; !ok {
		return nil, unknownProperty(name)
	}
	return nil, &fault{errPropertyReadOnly, fmt.Sprintf("property %q cannot be set", name)}
}

// variants returns properties in the shape that D-Bus has for them.
func variants(properties map[string]any) map[string]godbus.Variant {
	v := make(map[string]godbus.Variant, len(properties))
	for name, value := range properties {
		v[name] = godbus.MakeVariant(value)
	}
	return v
}

// interfaceProperties are the interfaces of an object with their properties, as
// ObjectManager has them.
type interfaceProperties = map[string]map[string]godbus.Variant

// maxManaged bounds the answer of GetManagedObjects, by an estimate of its bytes:
// a bus takes 32 MiB, and cuts off a service that sends more.
const maxManaged = 24 << 20

// getManagedObjects answers the state of all objects and subscribes the caller
// to what changes from then on, both under one lock.
func getManagedObjects(b *bus, c *call, _ object) ([]any, error) {
	b.subscribeImplicitly(c)
	objects := make(map[godbus.ObjectPath]interfaceProperties)
	size := 0
	for _, one := range b.inView(c) {
		objects[one.path()] = interfaceProperties{collectionInterface.Name: variants(one.properties(b, c))}
		for _, each := range one.caches() {
			objects[each.path()] = interfaceProperties{cacheInterface.Name: variants(each.properties(b, c))}
			size += each.estimate()
		}
		if size += 1 << 10; size > maxManaged {
			return nil, &fault{errLimitsExceeded, "there are too many objects for one message"}
		}
	}
	return []any{objects}, nil
}

// subscribeImplicitly subscribes the caller, who did not ask for it, to
// everything in view. Where there is no room for one more, it does nothing.
func (b *bus) subscribeImplicitly(c *call) {
	if b.Session {
		return
	}
	err := b.peers.subscribe(c.from, subscription{view: c.view, implicit: true, tickets: true})
	if err != nil {
		b.Logger.Debug("caller is not subscribed", "uid", c.view.uid, "err", err)
	}
}
