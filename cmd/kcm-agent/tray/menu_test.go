package tray

import (
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
