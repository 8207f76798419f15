package tray

import (
	"slices"

	godbus "github.com/godbus/dbus/v5"
)

var menuProperties = properties{"Version": uint32(3), "TextDirection": "ltr", "Status": "normal", "IconThemePath": []string{}}

// menuObject has the methods of com.canonical.dbusmenu.
type menuObject struct{ t *Tray }

// A layout is a line with its children, to a depth.
type layout struct {
	ID       int32
	Values   map[string]godbus.Variant
	Children []godbus.Variant
}

func (m *menu) layout(id, depth int32, names []string) layout {
	l := m.lines[id]
	out := layout{id, choose(l.values, names), []godbus.Variant{}}
	if depth != 0 {
		for _, child := range l.children {
			out.Children = append(out.Children, godbus.MakeVariant(m.layout(child, depth-1, names)))
		}
	}
	return out
}

// choose returns the properties with these names, all for none.
func choose(values map[string]godbus.Variant, names []string) map[string]godbus.Variant {
	chosen := make(map[string]godbus.Variant)
	for name, v := range values {
		if len(names) == 0 || slices.Contains(names, name) {
			chosen[name] = v
		}
	}
	return chosen
}

func noLine() *godbus.Error {
	return godbus.NewError("org.freedesktop.DBus.Error.InvalidArgs", []any{"there is no such line in the menu"})
}

// GetLayout is the method of dbusmenu.
func (o menuObject) GetLayout(parent, depth int32, names []string) (uint32, layout, *godbus.Error) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	if o.t.menu.lines[parent] == nil {
		return 0, layout{Values: map[string]godbus.Variant{}, Children: []godbus.Variant{}}, noLine()
	}
	return o.t.menu.revision, o.t.menu.layout(parent, depth, names), nil
}

// GetGroupProperties is the method of dbusmenu. The answer has the order of ids, that of
// the menu if there are none: libdbusmenu loses lines that come before their parent.
func (o menuObject) GetGroupProperties(ids []int32, names []string) ([]changedLine, *godbus.Error) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	if len(ids) == 0 {
		ids = o.t.menu.all(root)
	}
	found := []changedLine{}
	for _, id := range ids {
		if l := o.t.menu.lines[id]; l != nil {
			found = append(found, changedLine{id, choose(l.values, names)})
		}
	}
	return found, nil
}

// all returns the ids of a line and of those below it, from top to bottom.
func (m *menu) all(id int32) []int32 {
	ids := []int32{id}
	for _, child := range m.lines[id].children {
		ids = append(ids, m.all(child)...)
	}
	return ids
}

// GetProperty is the method of dbusmenu.
func (o menuObject) GetProperty(id int32, name string) (godbus.Variant, *godbus.Error) {
	o.t.mu.Lock()
	defer o.t.mu.Unlock()
	if l := o.t.menu.lines[id]; l != nil {
		if v, ok := l.values[name]; ok {
			return v, nil
		}
	}
	return godbus.Variant{}, noLine()
}

// Event is the method of dbusmenu.
func (o menuObject) Event(id int32, event string, _ godbus.Variant, _ uint32) *godbus.Error {
	if !o.t.happened(id, event) {
		return noLine()
	}
	return nil
}

// An event of EventGroup.
type event struct {
	ID    int32
	Event string
	Data  godbus.Variant
	Time  uint32
}

// EventGroup is the method of dbusmenu.
func (o menuObject) EventGroup(events []event) ([]int32, *godbus.Error) {
	unknown := []int32{}
	for _, e := range events {
		if !o.t.happened(e.ID, e.Event) {
			unknown = append(unknown, e.ID)
		}
	}
	return unknown, nil
}

// AboutToShow is the method of dbusmenu.
func (o menuObject) AboutToShow(id int32) (bool, *godbus.Error) {
	if id == root {
		o.t.events.Open(true)
	}
	return false, nil // what changes is told by signals
}

// AboutToShowGroup is the method of dbusmenu.
func (o menuObject) AboutToShowGroup(ids []int32) (update, unknown []int32, err *godbus.Error) {
	if slices.Contains(ids, root) {
		o.t.events.Open(true)
	}
	return []int32{}, []int32{}, nil
}

// happened passes an event on, and reports whether the line exists.
func (t *Tray) happened(id int32, event string) bool {
	t.mu.Lock()
	l := t.menu.lines[id]
	t.mu.Unlock()
	switch {
	case l == nil:
		return false
	case event == "clicked" && l.action.Verb != "":
		t.events.Clicked(l.action)
	case id == root && (event == "opened" || event == "closed"):
		t.events.Open(event == "opened")
	}
	return true
}
