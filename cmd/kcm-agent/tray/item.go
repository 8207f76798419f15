package tray

import (
	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

type pixmap struct {
	Width, Height int32
	Data          []byte
}

type toolTip struct {
	Icon        string
	Pixmaps     []pixmap
	Title, Text string
}

// newItem returns the properties of the icon. All of the specification are there: some
// hosts complain about missing ones.
func newItem(icons string) properties {
	return properties{
		"Category": "SystemServices", "Id": "kcm-agent", "Title": "Kerberos tickets", "Status": "Active",
		"WindowId": int32(0), "IconThemePath": icons, "ItemIsMenu": true, "Menu": menuPath,
		"IconName": "", "IconPixmap": []pixmap{}, "IconAccessibleDesc": "",
		"OverlayIconName": "", "OverlayIconPixmap": []pixmap{},
		"AttentionIconName": "", "AttentionIconPixmap": []pixmap{}, "AttentionMovieName": "", "AttentionAccessibleDesc": "",
		"ToolTip": toolTip{Pixmaps: []pixmap{}},
	}
}

// showItem changes the properties of the icon, and tells what changed. t.mu is held.
func (t *Tray) showItem(icon show.Icon, text string) {
	name := string(icon) + "-symbolic" // panels give it the colour of their text
	status := "Active"
	if icon == show.Attention || icon == show.Expired {
		status = "NeedsAttention"
	}
	if t.item["IconName"] != name {
		t.item["IconName"], t.item["AttentionIconName"] = name, name
		t.emit(itemPath, itemIface+".NewIcon")
		t.emit(itemPath, itemIface+".NewAttentionIcon")
	}
	if t.item["IconAccessibleDesc"] != text {
		t.item["IconAccessibleDesc"], t.item["AttentionAccessibleDesc"] = text, text
		t.item["ToolTip"] = toolTip{name, []pixmap{}, "Kerberos tickets", text}
		t.emit(itemPath, itemIface+".NewToolTip")
	}
	if t.item["Status"] != status {
		t.item["Status"] = status
		t.emit(itemPath, itemIface+".NewStatus", status)
	}
}

// itemObject has the methods of the icon. The host shows the menu itself.
type itemObject struct{ t *Tray }

// Activate is a click, where the host shows no menu.
func (itemObject) Activate(_, _ int32) *godbus.Error { return nil }

// SecondaryActivate is a click with another button.
func (itemObject) SecondaryActivate(_, _ int32) *godbus.Error { return nil }

// ContextMenu asks for a menu that the program shows itself.
func (itemObject) ContextMenu(_, _ int32) *godbus.Error { return nil }

// Scroll is the wheel.
func (itemObject) Scroll(int32, string) *godbus.Error { return nil }
