package render

import (
	"cmp"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	diff "github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/cmd/kcmctl/transfer"
	"kcmd.org/kcmd/dbus/client"
)

var update = flag.Bool("update", false, "write the files in testdata from what is printed")

// now is in a zone that no machine has by chance.
var now = time.Date(2026, 11, 26, 19, 20, 0, 0, time.FixedZone("TEST", 5*3600+1800))

func in(d time.Duration) time.Time { return now.Add(d).UTC() }

// alice is the default cache, with a renewable TGT.
func alice() *client.Cache {
	return &client.Cache{
		Name: "KCM:1000", UUID: "8c7a6e04-9d3a-4c4f-8d2b-0f3c6b1f2a11", ClientPrincipal: "alice@EXAMPLE.COM",
		State: "valid", IsDefault: true, AuthTime: in(-time.Hour), StartTime: in(-time.Hour),
		EndTime: in(7*time.Hour + 41*time.Minute), RenewUntil: in(6*day + 23*time.Hour),
		Flags: []string{"forwardable", "renewable", "initial", "pre-authenticated"}, TicketCount: 2,
		LastChanged: in(-5 * time.Minute), AutoRenew: true, RenewalState: "planned", NextRenewal: in(3 * time.Hour),
		PasswordExpires: in(5*day + 2*time.Hour),
	}
}

// hostile has names that must not reach a terminal.
func hostile() *client.Cache {
	return &client.Cache{
		Name: "KCM:1000:\x1b[2J", ClientPrincipal: "eve\x1b]0;owned\a\u202e@EVIL\n", State: "later\x9b31m", KdcOffset: -7200,
		EndTime: in(-3 * time.Hour), RenewalState: "\x1b[31moff", RenewalError: "org.kcmd.KCM1.Error.\x1b[5m",
	}
}

func caches() []*client.Cache {
	return []*client.Cache{
		alice(),
		{Name: "KCM:1000:bob", ClientPrincipal: "bob@EXAMPLE.COM", State: "expired", EndTime: in(-40 * time.Second), KdcOffset: 20},
		{Name: "KCM:1000:東京", ClientPrincipal: "東京@EXAMPLE.COM", State: "no-tgt", LastEndTime: in(400 * day)},
		{Name: "KCM:1000:empty", State: "empty"},
		{Name: "KCM:1000:soon", ClientPrincipal: "alice@OTHER", State: "expiring", EndTime: in(9 * time.Minute)},
		hostile(),
	}
}

func tickets() []client.Ticket {
	return []client.Ticket{
		{ID: "0a1b2c3d-0000-4000-8000-000000000001", Server: "krbtgt/EXAMPLE.COM@EXAMPLE.COM", Client: "alice@EXAMPLE.COM", IsTGT: true, State: "valid",
			EndTime: in(7*time.Hour + 41*time.Minute), RenewUntil: in(6 * day), Flags: []string{"initial", "renewable", "forwardable", "pre-authenticated", "enc-pa-rep"},
			Enctype: 18, TicketEnctype: 18, Size: 1234},
		{ID: "4e5f6071-0000-4000-8000-000000000002", Server: "host/\x1b[1mb@EXAMPLE.COM", Client: "bob@EXAMPLE.COM", State: "expired", EndTime: in(-time.Minute), Enctype: 17},
	}
}

func status() *Status {
	s := NewStatus(&client.Manager{Version: "0.1.0", ApiVersion: 1, Mode: "system", Features: []string{"auto-renew", "renew"}, SocketPath: "/run/.heim_org.h5l.kcm-socket", ExpiryWarning: 600},
		"system", &client.Collection{MaxCaches: 256, MaxBytes: 64 << 20})
	s.Users = []User{
		{UID: 0, Name: "root", Caches: 1, States: map[string]int{"valid": 1}, Tickets: 1, Bytes: 900, NextExpiry: in(time.Hour).Unix()},
		{UID: 4242, Caches: 3, States: map[string]int{"valid": 2, "expired": 1}, Tickets: 7, Bytes: 12 << 10, NextExpiry: in(2 * time.Hour).Unix()},
	}
	s.Daemon = NewDaemon(&client.Statistics{
		Started: in(-time.Hour), Store: "sqlite:/var/lib/kcmd/kcmd.db", Encrypted: true, StoreBytes: 81920, Quarantined: 1, Unwritable: true,
		Collections: 2, MemoryBytes: 13188, Connections: 1, Accepted: 17, Refused: 1, Cut: 2,
		Requests: map[string]map[string]uint64{
			"RETRIEVE": {"OK": 900, "KRB5_CC_NOTFOUND": 12, "EDQUOT": 1}, "STORE": {"OK": 30}, "UNKNOWN": {"KRB5_FCC_INTERNAL": 2},
		},
	})
	s.Count([]*client.Cache{alice(), {RenewalState: "failing", NextRenewal: in(time.Minute)}})
	return s
}

func events() []Event {
	list := []Event{
		{Event: "watching", Bus: "session", Caches: []string{}},
		{Event: "watching", Bus: "system", Caches: []string{"KCM:1000"}},
		{Event: "cache-added"}, {Event: "cache-removed"}, {Event: "principal-changed"},
		{Event: "state-changed", State: "expiring"}, {Event: "default-changed"},
		{Event: "daemon-stopped"}, {Event: "daemon-started"},
		{Event: "sign-in-wanted", PID: 4711, Server: "HTTP/www@EXAMPLE.COM", Reason: "no-cache"},
		{Event: "sign-in-wanted", Server: "\x1b[31mHTTP", Reason: "later"},
		{Event: "ticket-added", Server: "host/a\n@EXAMPLE.COM"},
		{Event: "ticket-removed", Server: "host/a", Reason: "reinitialized"},
		{Event: "ticket-expiring"}, {Event: "ticket-expired"}, {Event: "ticket-renewed"},
		{Event: "renewal-failed", Message: "no KDC\x1b[0m answers", Next: in(time.Minute).Unix()},
		{Event: "renewal-failed", Message: "the KDC refuses"},
	}
	for i := range list {
		e := &list[i]
		e.Time, e.UID = now.Unix(), 1000
		if !strings.Contains("watching daemon-stopped daemon-started sign-in-wanted", e.Event) {
			e.Cache, e.Principal, e.EndTime = "KCM:1000", "alice@EXAMPLE.COM", in(time.Hour).Unix()
			e.State = cmp.Or(e.State, "valid")
		}
	}
	return list
}

func results() []transfer.Result {
	return []transfer.Result{
		{Source: "FILE:/tmp/krb5cc_1000", Target: "KCM:1000", Principal: "alice@LAB.TEST", Outcome: transfer.Taken, Default: true, Removed: true},
		{Source: "DIR::/d/tkta", Target: "KCM:1000:a", Principal: "bob@LAB.TEST", Outcome: transfer.Replaced},
		{Source: "DIR::/d/tktb", Target: "KCM:1000:b", Principal: "bob@LAB.TEST", Outcome: transfer.Skipped, Reason: transfer.Newer},
		{Source: "FILE:/tmp/krb5cc_\x1b[2J", Outcome: transfer.Skipped, Reason: transfer.Unreadable, Error: "/tmp/krb5cc_\x1b[2J is not a regular file"},
		{Source: "FILE:/tmp/large", Target: "KCM:1000:large", Principal: "alice@LAB.TEST", Outcome: transfer.Failed, Error: "no space"},
	}
}

// TestPages compares what is printed with files, which -update writes.
func TestPages(t *testing.T) {
	eachEvent := func(write func(p *Page, e Event)) func(p *Page) {
		return func(p *Page) {
			for _, e := range events() {
				write(p, e)
			}
		}
	}
	for name, write := range map[string]func(p *Page){
		"caches":       func(p *Page) { p.Caches(caches()) },
		"caches-none":  func(p *Page) { p.Caches(nil) },
		"cache":        func(p *Page) { p.Cache(alice(), tickets()) },
		"cache-json":   func(p *Page) { p.JSON(NewCacheWithTickets(alice(), 1000, tickets())) },
		"hostile":      func(p *Page) { p.Cache(hostile(), nil) },
		"hostile-json": func(p *Page) { p.JSON(NewCache(hostile(), 1000)) },
		"done": func(p *Page) {
			p.Done(alice(), "is renewed")
			p.Count(1, "cache", "destroyed")
			p.Count(2, "ticket", "removed")
		},
		"results": func(p *Page) {
			p.Results(results(), false)
			p.Results(results()[:1], true)
			p.Results(nil, false)
			p.Variable("KRB5CCNAME", "KCM:1000:it's")
		},
		"users":       func(p *Page) { p.Users(status().Users); p.Users(nil) },
		"status":      func(p *Page) { p.Status(status()) },
		"status-json": func(p *Page) { p.JSON(status()) },
		"metrics":     func(p *Page) { p.Metrics(status()) },
		"waybar":      func(p *Page) { bars(p) },
		"events":      eachEvent(func(p *Page, e Event) { p.Event(e) }),
		"events-json": eachEvent(func(p *Page, e Event) { p.JSONLine(e) }),
	} {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			p := &Page{W: &b, Now: now}
			write(p)
			if err := p.Err(); err != nil {
				t.Fatal(err)
			}
			compare(t, name, b.String())
		})
	}
}

// bars writes what a panel gets for several lists of caches.
func bars(p *Page) {
	failing, keytab, late := alice(), alice(), alice()
	failing.RenewalState = "failing"
	keytab.State, keytab.RefreshTime = "expired", in(time.Hour)
	late.EndTime, late.KdcOffset = in(2*time.Minute), 90
	for _, list := range [][]*client.Cache{
		caches(), nil, {alice()}, caches()[4:5], {failing}, {keytab}, {late}, {{ClientPrincipal: "<b>eve</b>&@EVIL", State: "empty"}},
	} {
		p.Waybar(list)
	}
	p.WaybarAway()
}

func TestColours(t *testing.T) {
	var b strings.Builder
	p := &Page{W: &b, Now: now, Colour: true}
	p.Caches(caches())
	compare(t, "caches-colour", strings.ReplaceAll(b.String(), "\x1b", "ESC"))
}

func compare(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".txt")
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := diff.Diff(string(want), got); d != "" {
		t.Errorf("%s (-want +got); go test ./cmd/kcmctl/render -update writes the file:\n%s", path, d)
	}
	for _, r := range got {
		if r != '\n' && r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' {
			t.Errorf("%s has the character %q", path, r)
		}
	}
}
