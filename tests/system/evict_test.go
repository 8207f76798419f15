package system

import (
	"fmt"
	"os"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// A daemon makes room at a limit, and removes what has expired. What a user could not
// get again stays.

// wantCaches checks which of the caches there are.
func wantCaches(t *testing.T, c wire, want map[string]bool) {
	t.Helper()
	for suffix, there := range want {
		code, _, err := c.call(opGetPrincipal, own(suffix))
		if err != nil || code != 0 && code != codeNoFile {
			t.Fatalf("cache %s: code %d, %v", suffix, code, err)
		}
		if (code == 0) != there {
			t.Errorf("cache %s: there is %v, want %v", suffix, code == 0, there)
		}
	}
}

// replaceWith makes a cache of one ticket.
func replaceWith(t *testing.T, c wire, suffix string, client, ticket []byte) {
	t.Helper()
	mustCall(t, c, opReplace, own(suffix), be32(0), client, be32(1), data(string(ticket)))
}

// TestEmptyCacheGoesFirst reaches the limit of caches, of which one has no ticket.
func TestEmptyCacheGoesFirst(t *testing.T) {
	_, d := newLab(t)
	if err := d.Start("--max-uid-caches", "3"); err != nil {
		t.Fatal(err)
	}
	c := mustDial(t, d.Socket)
	defer c.Close()
	replaceWith(t, c, "a", principal("alice"), tgt())
	mustCall(t, c, opInitialize, own("empty"), principal("alice"))
	for _, suffix := range []string{"b", "c"} {
		replaceWith(t, c, suffix, principal("alice"), tgt())
	}
	wantCaches(t, c, map[string]bool{"a": true, "b": true, "c": true, "empty": false})
	if code, _, err := c.call(opInitialize, own("d"), principal("alice")); code != codeQuota || err != nil {
		t.Errorf("one more: code %d, %v; want %d", code, err, codeQuota)
	}
}

// TestWhatCannotBeFetchedStays reaches the limit of bytes. The ticket of a cache without
// a TGT (kinit -S) and an anonymous TGT stay, and D-Bus shows the latter as valid.
func TestWhatCannotBeFetchedStays(t *testing.T) {
	needRoot(t)
	lab.Need(t, lab.BusPrograms...)
	l, d := newLab(t)
	d.Bus = newSystemBus(t, l)
	if err := d.Start("--max-uid-bytes", "1MiB"); err != nil {
		t.Fatal(err)
	}
	c := mustDial(t, d.Socket)
	defer c.Close()
	anonymous := append(be32(11), be32(2)...) // RFC 8062
	for _, part := range []string{"WELLKNOWN:ANONYMOUS", "WELLKNOWN", "ANONYMOUS"} {
		anonymous = append(anonymous, data(part)...)
	}
	replaceWith(t, c, "anonymous", anonymous, parts{
		client: anonymous, server: principal("krbtgt", "KCMD.TEST"), ticket: "anonymous", end: began + 3600,
	}.credential())
	id := mustCall(t, c, opGetCacheUUIDs)
	replaceWith(t, c, "service", principal("alice"), credential("alone"))
	replaceWith(t, c, "usual", principal("alice"), tgt())
	for i := range 12 {
		mustCall(t, c, opStore, own("usual"), largeCredential(fmt.Sprint("large", i), 200<<10))
	}
	for suffix, want := range map[string]func(n int) bool{
		"anonymous": func(n int) bool { return n == 1 },
		"service":   func(n int) bool { return n == 1 },
		"usual":     func(n int) bool { return n > 1 && n < 8 },
	} {
		if n := len(mustCall(t, c, opGetCredUUIDs, own(suffix))) / 16; !want(n) {
			t.Errorf("cache %s has %d tickets", suffix, n)
		}
	}

	w, err := lab.DialBusAs(0, d.Bus.Address, patience)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	path := fmt.Sprintf("%s/user/%d/cache/%x", managerPath, os.Getuid(), id[:16])
	if err := w.Send(lab.BusName, path, "org.freedesktop.DBus.Properties.Get", lab.BusName+".Cache", "State"); err != nil {
		t.Fatal(err)
	}
	state, err := w.Reply()
	if err != nil || len(state) != 1 || fmt.Sprint(state[0]) != `"valid"` {
		t.Errorf("the state of the anonymous TGT is %v, want valid (%v)", state, err)
	}
}

// TestExpiredTicketIsStored copies an old cache, as the test of libkrb5's caches does:
// the daemon does not remove it between the requests.
func TestExpiredTicketIsStored(t *testing.T) {
	_, d := newLab(t)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	c := mustDial(t, d.Socket)
	defer c.Close()
	mustCall(t, c, opInitialize, own("old"), principal("alice"))
	old := parts{server: principal("host", "old"), ticket: "old", end: 11} // in 1970
	mustCall(t, c, opStore, own("old"), old.credential())
	for range 100 {
		mustCall(t, c, opGetPrincipal, own("old"))
		if got := mustCall(t, c, opRetrieve, own("old"), be32(0), matchServer("old")); string(got) != string(old.credential()) {
			t.Fatalf("%d bytes, want the ticket", len(got))
		}
	}
	mustCall(t, c, opStore, own("old"), credential("new"))
	mustCall(t, c, opDestroy, own("old"))
}
