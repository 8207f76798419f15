package render

import (
	"html"
	"slices"
	"strings"
	"time"

	"kcmd.org/kcmd/cmd/words"
	"kcmd.org/kcmd/dbus/client"
	"kcmd.org/kcmd/safetext"
)

// Bar is what a custom module of waybar reads: waybar-custom(5). Text and Tooltip are
// markup of Pango.
type Bar struct {
	Text       string   `json:"text"`
	Alt        string   `json:"alt"`
	Tooltip    string   `json:"tooltip"`
	Class      []string `json:"class"`
	Percentage int      `json:"percentage"`
}

// Waybar writes caches, the default one first, as a line for a panel.
func (p *Page) Waybar(caches []*client.Cache) {
	if len(caches) == 0 {
		p.JSONLine(Bar{Text: "no tickets", Alt: "none", Tooltip: "no caches", Class: []string{"none"}})
		return
	}
	c := caches[0]
	bar := Bar{Alt: c.State, Class: []string{c.State}, Percentage: p.percentage(c)}
	name, _, _ := strings.Cut(principal(c), "@")
	bar.Text = markup(name + " " + p.remains(c))
	lines := []string{}
	for _, c := range caches {
		lines = append(lines, markup(principal(c)+": "+p.remains(c)))
	}
	bar.Tooltip = strings.Join(lines, "\n")
	if slices.ContainsFunc(caches, NeedsUser) {
		bar.Class = append(bar.Class, "attention")
	}
	p.JSONLine(bar)
}

// WaybarAway writes the line for a kcmd that is not on the bus. The panel shows nothing.
func (p *Page) WaybarAway() {
	p.JSONLine(Bar{Alt: "away", Tooltip: "kcmd is not on the bus", Class: []string{"away"}})
}

// NeedsUser returns whether only the user can keep the tickets of a cache, or get them back.
func NeedsUser(c *client.Cache) bool {
	switch {
	case !c.RefreshTime.IsZero():
		return false // libkrb5 gets them with a keytab
	case c.State == "expired":
		return true
	case c.State == "expiring":
		return c.RenewalState != "planned"
	}
	return c.State == "valid" && c.RenewalState == "failing"
}

// remains says how long the TGT lasts, or what is the matter.
func (p *Page) remains(c *client.Cache) string {
	if left := p.left(c); left > 0 && (c.State == "valid" || c.State == "expiring") {
		if left < time.Minute {
			return "less than 1 min" // the line is not written each second
		}
		return words.Duration(left)
	}
	return words.State(c.State)
}

// left is how long the TGT lasts, by the clock of the KDC.
func (p *Page) left(c *client.Cache) time.Duration {
	if c.EndTime.IsZero() {
		return 0
	}
	return max(0, c.EndTime.Sub(p.Now.Add(time.Duration(c.KdcOffset)*time.Second)))
}

// percentage returns how much of its life the TGT has left.
func (p *Page) percentage(c *client.Cache) int {
	life := c.EndTime.Sub(c.StartTime)
	if c.StartTime.IsZero() || life <= 0 {
		return 0
	}
	return int(min(100, 100*p.left(c)/life))
}

// markup returns text as Pango shows it.
func markup(text string) string { return html.EscapeString(safetext.Escape(text)) }
