package show

import (
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/dbus/client"
)

var now = time.Date(2026, 11, 27, 12, 0, 0, 0, time.UTC)

// tgt returns a cache whose TGT began an hour ago.
func tgt(left time.Duration, change func(*Cache)) Cache {
	c := Cache{Path: "/a", Cache: client.Cache{
		ClientPrincipal: "alice@KCMD.TEST", IsDefault: true, State: "valid", RenewalState: "impossible",
		StartTime: now.Add(-time.Hour), EndTime: now.Add(left),
	}}
	if change != nil {
		change(&c)
	}
	return c
}

func TestWorld(t *testing.T) {
	const minute = time.Minute
	planned := func(c *Cache) { c.RenewalState = "planned" }
	keytab := func(c *Cache) { c.RefreshTime = now.Add(minute) }
	for name, test := range map[string]struct {
		w       World
		icon    Icon
		notices string // title and verbs of each
	}{
		"away":           {World{}, Away, ""},
		"none":           {World{Running: true}, None, ""},
		"valid":          {World{Caches: []Cache{tgt(8*time.Hour, nil)}}, Quiet, ""},
		"15 minutes":     {World{Caches: []Cache{tgt(14*minute, nil)}}, Attention, "Your ticket ends soon: sign-in"},
		"renewable":      {World{Caches: []Cache{tgt(4*minute, func(c *Cache) { c.RenewUntil = now.Add(time.Hour) })}}, Attention, "Your ticket ends soon: renew sign-in"},
		"renews itself":  {World{Caches: []Cache{tgt(4*minute, planned)}}, Quiet, ""},
		"keytab":         {World{Caches: []Cache{tgt(4*minute, keytab)}}, Quiet, ""},
		"keytab, ended":  {World{Caches: []Cache{tgt(-minute, keytab)}}, Quiet, ""},
		"short":          {World{Caches: []Cache{tgt(9*minute, func(c *Cache) { c.StartTime = now.Add(-minute) })}}, Quiet, ""},
		"KDC's clock":    {World{Caches: []Cache{tgt(time.Hour, func(c *Cache) { c.KdcOffset = 3000 })}}, Attention, "Your ticket ends soon: sign-in"},
		"ended":          {World{Caches: []Cache{tgt(-minute, nil)}}, Expired, "Your ticket has expired: sign-in"},
		"ended long ago": {World{Caches: []Cache{tgt(-13*time.Hour, nil)}}, Expired, ""},
		"replaced":       {World{Caches: []Cache{tgt(8*time.Hour, nil), tgt(-minute, func(c *Cache) { c.Path = "/b" })}}, Quiet, ""},
		"no TGT":         {World{Caches: []Cache{{Cache: client.Cache{State: "no-tgt"}}}}, None, ""},
		"failing": {World{Caches: []Cache{tgt(8*time.Hour, func(c *Cache) {
			c.RenewalState, c.RenewalError = "failing", "org.kcmd.KCM1.Error.KdcUnreachable"
		})}}, Attention, "Your ticket is not renewed: sign-in"},
		"password": {World{Caches: []Cache{tgt(8*time.Hour, func(c *Cache) { planned(c); c.PasswordExpires = now.Add(50 * time.Hour) })}}, Attention, "Your password expires: change-password"},
		"wanted":   {World{Running: true, Wanted: []Wanted{{Program: "curl", PID: 42}}}, Attention, "Sign-in wanted: sign-in"},
		// One notification is enough.
		"wanted, ended": {World{Caches: []Cache{tgt(-minute, nil)}, Wanted: []Wanted{{Program: "curl", PID: 42}}}, Expired, "Sign-in wanted: sign-in"},
	} {
		t.Run(name, func(t *testing.T) {
			w := test.w
			w.Now, w.Running, w.Settings = now, w.Running || len(w.Caches) > 0, Defaults()
			var got []string
			for _, n := range w.Notices() {
				text := n.Title + ":"
				for _, a := range n.Actions {
					text += " " + string(a.Verb)
				}
				got = append(got, text)
			}
			if icon, text := w.Icon(); icon != test.icon || text == "" {
				t.Errorf("the icon is %s (%s), want %s", icon, text, test.icon)
			}
			if s := strings.Join(got, "; "); s != test.notices {
				t.Errorf("the notifications are %q, want %q", s, test.notices)
			}
		})
	}
}

func TestNext(t *testing.T) {
	w := World{Now: now, Running: true, Settings: Defaults(), Caches: []Cache{tgt(time.Hour+30*time.Second, nil)}}
	if next := w.Next(); !next.Equal(now.Add(45*time.Minute + 30*time.Second)) {
		t.Errorf("the next notification is at %v", next)
	}
	if next := w.NextText(); !next.After(now.Add(30*time.Second)) || next.After(now.Add(31*time.Second)) {
		t.Errorf("the next text is at %v", next)
	}
	w.Caches = nil
	if next := w.NextText(); !next.IsZero() {
		t.Errorf("without caches it is %v", next)
	}
}

func TestMenu(t *testing.T) {
	w := World{Now: now, Running: true, Settings: Defaults()}
	for range 30 {
		w.Caches = append(w.Caches, tgt(7*time.Hour+41*time.Minute, nil))
	}
	items := w.Menu()
	if items[0].Label != "● alice@KCMD.TEST, 7 h 41 min left" || items[mostCaches].Label != "and 10 more" {
		t.Errorf("the lines are %q and %q", items[0].Label, items[mostCaches].Label)
	}
}
