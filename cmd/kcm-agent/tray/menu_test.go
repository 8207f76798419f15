package tray

import (
	"slices"
	"testing"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

// TestIDs has caches come and go: a line keeps its id, no later line gets it, and the ids
// of lines that have gone are forgotten.
func TestIDs(t *testing.T) {
	m := newMenu()
	showKeys := func(keys ...string) {
		var items []show.Item
		for _, k := range keys {
			items = append(items, show.Item{Key: k})
		}
		m.show(items)
	}
	showKeys("a", "b")
	a, b := m.ids["a"], m.ids["b"]
	showKeys("b")
	if m.ids["b"] != b {
		t.Errorf("b has the id %d, had %d", m.ids["b"], b)
	}
	showKeys("a", "b")
	if id := m.ids["a"]; id == a || id == b || id == root {
		t.Errorf("a came again with the id %d; before, a had %d and b %d", id, a, b)
	}
	for i := range 1000 {
		showKeys("b", string(rune('A'+i)))
	}
	if len(m.ids) != 2 {
		t.Errorf("the menu has 2 lines and knows %d ids", len(m.ids))
	}
}

// TestOrder asks for lines as a panel does: libdbusmenu throws lines away that come before
// the line whose submenu they are in, and inserts the others as they come.
func TestOrder(t *testing.T) {
	tray := &Tray{menu: newMenu()}
	var items []show.Item
	for _, cache := range []string{"a", "b", "c", "d"} {
		items = append(items, show.Item{Key: cache, Items: []show.Item{{Key: cache + " renew"}, {Key: cache + " destroy"}}})
	}
	tray.menu.show(items)
	tray.menu.show([]show.Item{items[2], items[0], items[3], items[1]})
	inMenu := tray.menu.ids
	all := []int32{
		root, inMenu["c"], inMenu["c renew"], inMenu["c destroy"], inMenu["a"], inMenu["a renew"], inMenu["a destroy"],
		inMenu["d"], inMenu["d renew"], inMenu["d destroy"], inMenu["b"], inMenu["b renew"], inMenu["b destroy"],
	}
	some := []int32{inMenu["d destroy"], 1000, inMenu["a"]}
	for _, c := range []struct{ asked, want []int32 }{{nil, all}, {all, all}, {some, []int32{some[0], some[2]}}} {
		found, err := menuObject{tray}.GetGroupProperties(c.asked, nil)
		if err != nil {
			t.Fatal(err)
		}
		var got []int32
		for _, l := range found {
			got = append(got, l.ID)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("asked for %v: the order is %v, want %v", c.asked, got, c.want)
		}
	}
}
