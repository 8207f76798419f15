package transfer

import (
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/ccfile"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver"
)

const alice, bob = "alice@LAB.TEST", "bob@LAB.TEST"

var now = time.Unix(storetest.AuthTime+60, 0)

// serve starts a KCM server over an empty store, and returns its socket.
func serve(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "kcm") // short, for the socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	s := kcmserver.New(storetest.New(t, memory.New()), kcmserver.Options{})
	served := make(chan error, 1)
	go func() { served <- s.Serve(l, ccstore.DefaultNamespace) }()
	t.Cleanup(func() {
		_ = s.Shutdown(context.Background())
		<-served
	})
	return socket
}

// open opens a collection, which is closed with the test.
func open(t *testing.T, name string) Collection {
	t.Helper()
	c, err := Open(t.Context(), name, uint32(os.Getuid()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func contents(client string, creds ...*ccache.Credential) *ccache.Contents {
	return &ccache.Contents{Principal: storetest.Principal(client), KDCOffset: -7, Credentials: append([]*ccache.Credential{storetest.TGT(client)}, creds...)}
}

// large makes a ticket of n bytes.
func large(server string, n int) *ccache.Credential {
	c := storetest.Ticket(alice, server)
	c.Ticket = bytes.Repeat([]byte("x"), n)
	return c
}

func write(t *testing.T, path string, c *ccache.Contents) string {
	t.Helper()
	if err := ccfile.Write(path, c); err != nil {
		t.Fatal(err)
	}
	return "FILE:" + path
}

func mustCopy(t *testing.T, from, to Collection, o Options) []Result {
	t.Helper()
	o.Now = now
	results, err := Copy(from, to, o)
	if err != nil {
		t.Fatal(err)
	}
	return results
}

// What comes back from a KCM server has the same bytes in the same order, also if it is
// larger than a request may be.
func TestBytes(t *testing.T) {
	dir, socket := t.TempDir(), serve(t)
	config := storetest.Config(alice, "fast_avail", "yes")
	for name, c := range map[string]*ccache.Contents{
		"small": contents(alice, config, large("host/a@LAB.TEST", 60<<10), large("host/b@LAB.TEST", 1<<20), storetest.Ticket(alice, "host/c@LAB.TEST")),
		"large": contents(alice, large("host/a@LAB.TEST", 6<<20), config, large("host/b@LAB.TEST", 6<<20)),
	} {
		source := write(t, filepath.Join(dir, name), c)
		server := open(t, "KCM:"+socket)
		if r := mustCopy(t, open(t, source), server, Options{}); r[0].Outcome != Taken || !r[0].OK() || !r[0].Default {
			t.Fatalf("%s: %+v", name, r)
		}
		back := filepath.Join(dir, name+".back")
		if r := mustCopy(t, server, open(t, "FILE:"+back), Options{Move: true}); len(r) != 1 || !r[0].Removed {
			t.Fatalf("%s: %+v", name, r)
		}
		got, err := ccfile.Open(back)
		if err != nil || !got.Equal(c) {
			t.Errorf("%s has come back with other bytes: %v", name, err)
		}
		if left, err := server.Read(); err != nil || len(left) > 0 {
			t.Errorf("%s: the server still has %d caches: %v", name, len(left), err)
		}
	}
}

// Which caches are taken, and what is removed from the source.
func TestOutcomes(t *testing.T) {
	expired := contents(alice)
	ended := *expired.Credentials[0]
	ended.EndTime = uint32(now.Unix() - 10)
	expired.Credentials[0] = &ended
	proxy := &ccache.Contents{Principal: storetest.Principal(alice), Credentials: []*ccache.Credential{storetest.GSSProxy(alice, "secret")}}
	settings := &ccache.Contents{Principal: storetest.Principal(alice), Credentials: []*ccache.Credential{storetest.Config(alice, "fast_avail", "yes")}}
	later := contents(alice)
	longer := *later.Credentials[0]
	longer.EndTime++
	later.Credentials[0] = &longer

	for name, test := range map[string]struct {
		source, target *ccache.Contents
		options        Options
		outcome        string
		reason         string
		removed        bool
	}{
		"new":       {contents(alice), nil, Options{Move: true}, Taken, "", true},
		"dry":       {contents(alice), nil, Options{Move: true, DryRun: true}, Taken, "", true},
		"same":      {contents(alice), contents(alice), Options{Move: true}, Skipped, Exists, true},
		"kept":      {contents(alice), contents(alice), Options{}, Skipped, Exists, false},
		"more":      {contents(alice), contents(alice, storetest.Ticket(alice, "host/a@LAB.TEST")), Options{}, Skipped, Exists, false},
		"later":     {later, contents(alice), Options{}, Replaced, "", false},
		"earlier":   {contents(alice), later, Options{Move: true}, Skipped, Newer, false},
		"adopted":   {contents(alice), later, Options{Destroy: true}, Skipped, Newer, true},
		"other":     {contents(alice), contents(bob), Options{}, Taken, "", false},
		"expired":   {expired, nil, Options{Destroy: true}, Skipped, Expired, false},
		"wanted":    {expired, nil, Options{Expired: true}, Taken, "", false},
		"settings":  {settings, nil, Options{Move: true}, Skipped, Empty, false},
		"gssproxy":  {proxy, nil, Options{Move: true}, Taken, "", true},
		"unchanged": {contents(alice), contents(bob), Options{DryRun: true}, Taken, "", false},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			source, target := filepath.Join(dir, "source"), newDir(filepath.Join(dir, "target"))
			write(t, source, test.source)
			if test.target != nil {
				if err := target.Write(ccfile.Initial, test.target); err != nil {
					t.Fatal(err)
				}
			}
			before, err := target.Read()
			if err != nil {
				t.Fatal(err)
			}
			r := mustCopy(t, open(t, "FILE:"+source), target, test.options)[0]
			if r.Outcome != test.outcome || r.Reason != test.reason || r.Removed != test.removed || !r.OK() {
				t.Errorf("%+v", r)
			}
			if _, err := os.Stat(source); os.IsNotExist(err) != (test.removed && !test.options.DryRun) {
				t.Errorf("the source: %v", err)
			}
			after, err := target.Read()
			if err != nil || test.options.DryRun && len(after) != len(before) {
				t.Errorf("%d caches, then %d: %v", len(before), len(after), err)
			}
			if test.outcome != Skipped && !test.options.DryRun {
				name := strings.TrimPrefix(r.Target, "DIR::"+target.Path+"/")
				if got, err := target.ReadOne(name); err != nil || !got.Equal(test.source) {
					t.Errorf("%s is not the source: %v", name, err)
				}
			}
		})
	}
}

// A damaged file gives what klist shows of it, and stays.
func TestDamagedStays(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "cc")
	source := write(t, path, contents(alice, storetest.Ticket(alice, "host/a@LAB.TEST")))
	if info, err := os.Stat(path); err != nil || os.Truncate(path, info.Size()-1) != nil {
		t.Fatal(err)
	}
	r := mustCopy(t, open(t, source), newDir(filepath.Join(dir, "target")), Options{Move: true})[0]
	if r.Outcome != Taken || r.Removed || !strings.Contains(r.Error, "damaged") || r.Tickets != 1 {
		t.Errorf("%+v", r)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestOpenRefuses(t *testing.T) {
	for name, want := range map[string]string{
		"MEMORY:x": "only within one program", "KEYRING:process:x": "only within one program",
		"KCM:": "has no path", "KCM:1000": "path of a socket", "FILE:": "has no path", "API:x": "allowed: FILE:PATH",
		"KCM:/nonexistent": "no KCM server answers",
	} {
		if _, err := Open(t.Context(), name, 0); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}
