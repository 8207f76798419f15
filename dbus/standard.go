package dbus

import (
	"fmt"
	"os"
	"strings"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/dbus/link"
	"kcmd.org/kcmd/dbus/view"
	"kcmd.org/kcmd/introspection"
)

// The interfaces that the D-Bus specification defines.
var (
	peerInterface = &iface{Interface: introspection.Peer, methods: methods{
		"Ping":         {visible, answers(ping)},
		"GetMachineId": {visible, answers(getMachineID)},
	}}

	introspectableInterface = &iface{Interface: introspection.Introspectable, methods: methods{
		"Introspect": {visible, answers(introspect)},
	}}

	propertiesInterface = &iface{Interface: introspection.Properties, methods: methods{
		"Get":    {visible, answers(getProperty)},
		"GetAll": {visible, answers(getAllProperties)},
		"Set":    {visible, settingProperty()}, // a writable one needs manage
	}}

	objectManagerInterface = &iface{Interface: introspection.ObjectManager, methods: methods{
		"GetManagedObjects": {visible, answers(getManagedObjects)},
	}}
)

// none are the arguments of a method without any.
type none struct{}

func ping(*reading, none) ([]any, error) { return nil, nil }

// getMachineID answers what the specification says: the machine's id, which is
// not the id of the bus that godbus would answer.
func getMachineID(*reading, none) ([]any, error) {
	for _, file := range []string{"/etc/machine-id", "/var/lib/dbus/machine-id"} {
		if id, err := os.ReadFile(file); err == nil {
			return []any{view.Text(strings.TrimSpace(string(id)))}, nil
		}
	}
	return nil, &fault{errFileNotFound, "the machine has no id"}
}

const doctype = `<!DOCTYPE node PUBLIC "-//freedesktop//DTD D-BUS Object Introspection 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/introspect.dtd">
`

func introspect(r *reading, _ none) ([]any, error) {
	var s strings.Builder
	s.WriteString(doctype + "<node>\n")
	for _, i := range interfacesOf[r.place.Kind] {
		s.WriteString(i.XML)
	}
	children := r.place.Children(r.collection)
	if r.place.Kind == view.AtUsers {
		for _, uid := range r.uids() {
			children = append(children, fmt.Sprint(uid))
		}
	}
	for _, name := range children {
		fmt.Fprintf(&s, "  <node name=%q/>\n", name)
	}
	s.WriteString("</node>\n")
	return []any{s.String()}, nil
}

// own returns the interface of kcmd's own of the object that is called.
func (r *reading) own() *iface {
	has := interfacesOf[r.place.Kind]
	return has[len(has)-1]
}

// properties returns the properties of an interface of the object that is called:
// the standard interfaces have none. "" is the interface of kcmd's own.
func (r *reading) properties(name string) (map[string]any, error) {
	if own := r.own(); name == "" || name == own.Name {
		return own.properties(r), nil
	}
	for _, i := range interfacesOf[r.place.Kind] {
		if i.Name == name {
			return nil, nil
		}
	}
	return nil, unknownInterface(name)
}

func getProperty(r *reading, in struct{ Interface, Name string }) ([]any, error) {
	properties, err := r.properties(in.Interface)
	if err != nil {
		return nil, err
	}
	value, ok := properties[in.Name]
	if !ok {
		return nil, unknownProperty(in.Name)
	}
	return []any{view.NewVariant(value)}, nil
}

// getAllProperties also subscribes the caller: it is the first call of a client
// library's proxy object.
func getAllProperties(r *reading, in struct{ Interface string }) ([]any, error) {
	r.subscribing = in.Interface == r.own().Name && r.place.Kind != view.AtLogControl // which has no signals
	properties, err := r.properties(in.Interface)
	if err != nil {
		return nil, err
	}
	return []any{view.Variants(properties)}, nil
}

// A setCall has the arguments of Set.
type setCall struct {
	Interface, Name string
	Value           view.Variant
}

// settingProperty returns the handler of Set.
func settingProperty() handler {
	return newHandler(func(in setCall) operation {
		for _, i := range []*iface{cacheInterface} {
			if w, ok := i.writers[in.Name]; ok && (in.Interface == "" || in.Interface == i.Name) {
				return operation{permission: manage, change: func(q *request, tx *ccstore.Tx) (any, error) {
					return nil, i.set(q, tx, w, in)
				}}
			}
		}
		if set, ok := logControlInterface.setters[in.Name]; ok && (in.Interface == "" || in.Interface == logControlInterface.Name) {
			return operation{act: func(q *request) ([]any, error) { return nil, logControlInterface.setOfService(q, set, in) }}
		}
		return operation{answer: func(r *reading) ([]any, error) { return setProperty(r, in) }}
	})
}

// set sets a writable property of the object that is called.
func (i *iface) set(q *request, tx *ccstore.Tx, w writer, in setCall) error {
	if err := i.admits(q, in, w.signature); err != nil {
		return err
	}
	return w.write(q, tx, in.Value.Value())
}

// setOfService sets a writable property of the service, for an administrator.
func (i *iface) setOfService(q *request, set setter, in setCall) error {
	if err := i.admits(q, in, "s"); err != nil {
		return err
	}
	if err := q.bus.mayAdminister(q); err != nil {
		return err
	}
	return set(q, in.Value.Value().(string))
}

// admits fails unless the object that is called has the interface and the value the type.
func (i *iface) admits(q *request, in setCall, signature string) error {
	switch has := interfacesOf[q.place.Kind]; {
	case has[len(has)-1] != i && in.Interface == "":
		return unknownProperty(in.Name)
	case has[len(has)-1] != i:
		return unknownInterface(in.Interface)
	case in.Value.Signature().String() != signature:
		return invalidArgs("property %q has type %q, not %q", in.Name, signature, in.Value.Signature().String())
	}
	return nil
}

func setProperty(r *reading, in setCall) ([]any, error) {
	properties, err := r.properties(in.Interface)
	if err != nil {
		return nil, err
	}
	if _, ok := properties[in.Name]; !ok {
		return nil, unknownProperty(in.Name)
	}
	return nil, &fault{errPropertyReadOnly, fmt.Sprintf("property %q is read-only", in.Name)}
}

// getManagedObjects answers the state of all objects, and subscribes the caller
// to what changes from then on.
func getManagedObjects(r *reading, _ none) ([]any, error) {
	r.subscribing = true
	collections, err := r.collections()
	if err != nil {
		return nil, err
	}
	objects := make(map[view.Path]view.Interfaces)
	size := 0
	for _, c := range collections {
		objects[c.Path()] = view.Interfaces{introspection.Collection.Name: view.Variants(c.Properties())}
		for _, cache := range c.Caches() {
			objects[cache.Path()] = view.Interfaces{introspection.Cache.Name: view.Variants(cache.Properties())}
			size += cache.Estimate()
		}
		if size += 1 << 10; size > link.MaxAnswer {
			return nil, &fault{errLimitsExceeded, fmt.Sprintf("the objects take more than %d bytes, the limit of an answer; "+
				"call ListCollections, and Properties.GetAll of each collection and cache", link.MaxAnswer)}
		}
	}
	return []any{objects}, nil
}
