// Package tray shows an icon with a menu, by the specifications StatusNotifierItem and
// com.canonical.dbusmenu. A change of the menu is told as a change of its lines, so that
// an open menu stays open.
//
// It imports show, whose items it shows. Read its files in this order:
//
//   - tray.go: the objects on the bus, and registration with the host
//   - properties.go: org.freedesktop.DBus.Properties
//   - item.go: the icon
//   - menu.go: the menu as a table of lines, and what changed in it
//   - dbusmenu.go: the methods of com.canonical.dbusmenu
package tray

import (
	"fmt"
	"sync"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

const (
	itemPath  = godbus.ObjectPath("/StatusNotifierItem")
	menuPath  = godbus.ObjectPath("/StatusNotifierItem/menu")
	itemIface = "org.kde.StatusNotifierItem"
	menuIface = "com.canonical.dbusmenu"
	watcher   = "org.kde.StatusNotifierWatcher"
)

// Events are what a user does with the menu. They are called on goroutines of the bus.
type Events struct {
	Clicked func(show.Action)
	Open    func(open bool) // the menu
}

// A Tray is an icon with a menu.
type Tray struct {
	conn   *godbus.Conn
	events Events

	mu   sync.Mutex
	item properties
	menu menu
}

// New exports the icon and registers it with the host, now and whenever one appears.
// icons is a directory to look for icons in, "" for those of the system only.
func New(conn *godbus.Conn, icons string, events Events) (*Tray, error) {
	t := &Tray{conn: conn, events: events, item: newItem(icons), menu: newMenu()}
	for _, e := range []struct {
		object any
		path   godbus.ObjectPath
		iface  string
	}{
		{itemObject{t}, itemPath, itemIface},
		{propertiesObject{t, itemIface}, itemPath, propertiesIface},
		{menuObject{t}, menuPath, menuIface},
		{propertiesObject{t, menuIface}, menuPath, propertiesIface},
	} {
		if err := conn.Export(e.object, e.path, e.iface); err != nil {
			return nil, fmt.Errorf("cannot export the icon: %w", err)
		}
	}
	signals := make(chan *godbus.Signal, 16)
	conn.Signal(signals)
	err := conn.AddMatchSignal(godbus.WithMatchSender("org.freedesktop.DBus"), godbus.WithMatchMember("NameOwnerChanged"), godbus.WithMatchArg(0, watcher))
	if err != nil {
		return nil, fmt.Errorf("cannot wait for a tray: %w", err)
	}
	go t.stayRegistered(signals)
	t.register()
	return t, nil
}

// register registers the icon. Without a host it does nothing, and starts none.
func (t *Tray) register() {
	t.conn.Object(watcher, "/StatusNotifierWatcher").Go(watcher+".RegisterStatusNotifierItem",
		godbus.FlagNoReplyExpected|godbus.FlagNoAutoStart, nil, string(itemPath))
}

func (t *Tray) stayRegistered(signals <-chan *godbus.Signal) {
	for s := range signals {
		var name, before, after string
		if s.Name == "org.freedesktop.DBus.NameOwnerChanged" && godbus.Store(s.Body, &name, &before, &after) == nil && name == watcher && after != "" {
			t.register()
		}
	}
}

// Show shows an icon, with a text, and a menu.
func (t *Tray) Show(icon show.Icon, text string, items []show.Item) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.showItem(icon, text)
	t.showMenu(items)
}

func (t *Tray) emit(path godbus.ObjectPath, name string, args ...any) {
	_ = t.conn.Emit(path, name, args...) // the connection has gone: the program ends
}
