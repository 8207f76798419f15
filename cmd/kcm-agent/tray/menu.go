package tray

import (
	"maps"
	"reflect"
	"slices"
	"strings"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

// root is the id of the menu itself.
const root = 0

// A line is an item of the menu as dbusmenu has it.
type line struct {
	values   map[string]godbus.Variant
	children []int32
	action   show.Action
}

// A menu is a table of lines. A key keeps its id, and no id has another key later: a
// click can come after the line has gone.
type menu struct {
	revision uint32
	lines    map[int32]*line
	ids      map[string]int32 // of the keys in the menu
	last     int32            // id that was given
}

func newMenu() menu {
	return menu{revision: 1, lines: map[int32]*line{root: {values: map[string]godbus.Variant{}}}, ids: make(map[string]int32)}
}

// build makes lines of items, below a parent.
func (m *menu) build(lines map[int32]*line, parent int32, items []show.Item) {
	p := &line{values: map[string]godbus.Variant{}}
	if lines[parent] != nil {
		p = lines[parent]
	}
	lines[parent] = p
	for _, item := range items {
		id := m.ids[item.Key]
		if id == 0 {
			m.last++
			id = m.last
			m.ids[item.Key] = id
		}
		p.children = append(p.children, id)
		lines[id] = &line{values: values(item), action: item.Action}
		if len(item.Items) > 0 {
			m.build(lines, id, item.Items)
		}
	}
}

// show replaces the lines, and forgets the ids of those that have gone.
func (m *menu) show(items []show.Item) {
	m.lines = make(map[int32]*line)
	m.build(m.lines, root, items)
	maps.DeleteFunc(m.ids, func(_ string, id int32) bool { return m.lines[id] == nil })
}

func values(item show.Item) map[string]godbus.Variant {
	v := make(map[string]godbus.Variant)
	if item.Separator {
		v["type"] = godbus.MakeVariant("separator")
		return v
	}
	v["label"] = godbus.MakeVariant(strings.ReplaceAll(item.Label, "_", "__")) // "_" marks a mnemonic
	v["enabled"] = godbus.MakeVariant(!item.Disabled)
	if item.Action.Verb == show.MakeDefault {
		v["toggle-type"] = godbus.MakeVariant("radio")
		state := int32(0)
		if item.Marked {
			state = 1
		}
		v["toggle-state"] = godbus.MakeVariant(state)
	}
	if len(item.Items) > 0 {
		v["children-display"] = godbus.MakeVariant("submenu")
	}
	return v
}

// A changedLine has the changed properties of a line. All properties are there in every
// version of a line, so that none is removed.
type changedLine struct {
	ID     int32
	Values map[string]godbus.Variant
}

type removedValues struct {
	ID    int32
	Names []string
}

// showMenu changes the menu, and tells what changed: lines that differ, and those whose
// children came or went. t.mu is held.
func (t *Tray) showMenu(items []show.Item) {
	before := t.menu.lines
	t.menu.show(items)
	next := t.menu.lines
	changed := []changedLine{}
	var moved []int32
	for _, id := range t.menu.all(root) {
		l, was := next[id], before[id]
		if was == nil {
			continue // told with its parent
		}
		if d := difference(was.values, l.values); len(d) > 0 {
			changed = append(changed, changedLine{id, d})
		}
		if !slices.Equal(was.children, l.children) {
			moved = append(moved, id)
		}
	}
	if len(changed) > 0 {
		t.emit(menuPath, menuIface+".ItemsPropertiesUpdated", changed, []removedValues{})
	}
	if len(moved) > 0 {
		t.menu.revision++
		for _, id := range moved {
			t.emit(menuPath, menuIface+".LayoutUpdated", t.menu.revision, id)
		}
	}
}

func difference(before, after map[string]godbus.Variant) map[string]godbus.Variant {
	d := make(map[string]godbus.Variant)
	for name, v := range after {
		if !reflect.DeepEqual(before[name], v) {
			d[name] = v
		}
	}
	return d
}
