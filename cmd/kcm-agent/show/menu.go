package show

import "fmt"

// mostCaches is how many caches have a line in the menu.
const mostCaches = 20

// An Item is a line of the menu. It keeps its Key as long as it means the same.
type Item struct {
	Key       string
	Label     string // without mnemonics
	Separator bool
	Disabled  bool
	Marked    bool // with the mark of the default cache
	Action    Action
	Items     []Item
}

// Menu returns the menu.
func (w *World) Menu() []Item {
	var items []Item
	switch {
	case !w.Running:
		items = append(items, Item{Key: "away", Label: "kcmd is not running", Disabled: true})
	case len(w.Caches) == 0:
		items = append(items, Item{Key: "none", Label: "No tickets", Disabled: true})
	}
	for i := range w.Caches {
		if i == mostCaches {
			items = append(items, Item{Key: "more", Label: fmt.Sprintf("and %d more", len(w.Caches)-i), Disabled: true})
			break
		}
		items = append(items, w.cacheItem(&w.Caches[i]))
	}
	return append(items,
		Item{Key: "separator", Separator: true},
		Item{Key: "sign-in", Label: "Sign in…", Disabled: !w.Running, Action: Action{Verb: SignIn}},
		Item{Key: "quit", Label: "Quit", Action: Action{Verb: Quit}},
	)
}

// cacheItem returns the line of a cache, with what can be done with it.
func (w *World) cacheItem(c *Cache) Item {
	principal := c.ClientPrincipal
	if principal == "" {
		principal = c.Name
	}
	key := string(c.Path)
	item := func(verb Verb, label string) Item {
		return Item{Key: key + " " + string(verb), Label: label, Action: Action{verb, c.Path, c.ClientPrincipal}}
	}
	makeDefault := item(MakeDefault, "Default")
	makeDefault.Marked, makeDefault.Disabled = c.IsDefault, c.IsDefault
	renew := item(Renew, "Renew")
	renew.Disabled = !w.canRenew(c)
	// In the text: not every panel shows the mark of a line that has a submenu.
	label := principal + w.timeLeft(c)
	if c.IsDefault {
		label = "● " + label
	}
	return Item{
		Key: key, Label: label,
		Items: []Item{
			makeDefault, renew,
			item(SignIn, "Sign in…"), item(ChangePassword, "Change password…"),
			item(Copy, "Copy principal"), item(Details, "Details"),
			{Key: key + " separator", Separator: true},
			item(Destroy, "Destroy"),
		},
	}
}

// canRenew reports whether the KDC may renew the TGT of a cache.
func (w *World) canRenew(c *Cache) bool {
	return c.RenewUntil.After(c.EndTime) && c.EndTime.After(w.now(c))
}
