package cckeyring

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
)

const alice = "alice@LAB.TEST"

var now = time.Unix(1_790_000_000, 0)

func contents() *ccache.Contents {
	return &ccache.Contents{
		Principal: storetest.Principal(alice), KDCOffset: -7, Microseconds: 5,
		Credentials: []*ccache.Credential{storetest.Config(alice, "fast_avail", "yes"), storetest.TGT(alice), storetest.Ticket(alice, "host/a@LAB.TEST")},
	}
}

// open returns a collection in the keyring of a thread, which ends with the test.
func open(t *testing.T) *Collection {
	t.Helper()
	runtime.LockOSThread() // and for ever: the thread ends with the goroutine of the test
	if _, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_THREAD_KEYRING, true); err != nil {
		t.Skipf("there are no keyrings here: %v", err)
	}
	c, err := Open(Name{Anchor: Thread, Collection: "test"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestRoundTrip(t *testing.T) {
	c := open(t)
	if names, err := c.Names(); err != nil || len(names) > 0 {
		t.Fatalf("a new collection has %v: %v", names, err)
	}
	want := contents()
	for _, name := range []string{"test", "work", "a;b:c"} {
		if err := c.Write(name, want, now); err != nil {
			t.Fatal(err)
		}
		got, err := c.Read(name)
		if err != nil {
			t.Fatal(err)
		}
		if !got.Holds(want) || !want.Holds(got) || got.KDCOffset != want.KDCOffset || got.Microseconds != want.Microseconds {
			t.Errorf("%s is not what was written", name)
		}
	}
	if err := c.SetPrimary("work"); err != nil {
		t.Fatal(err)
	}
	again, err := Open(c.Name)
	if err != nil {
		t.Fatal(err)
	}
	names, err := again.Names()
	if err != nil || len(names) != 3 || names[0] != "work" || !slices.Contains(names, "a;b:c") {
		t.Errorf("names %q: %v", names, err)
	}
	if err := again.Remove("work"); err != nil {
		t.Fatal(err)
	}
	if _, err := again.Read("work"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a removed cache: %v", err)
	}
	if name, err := again.Primary(); err != nil || name != "work" {
		t.Errorf("primary %q: %v", name, err)
	}
}

// A ticket that the kernel does not take leaves the cache as it was.
func TestTooLarge(t *testing.T) {
	c := open(t)
	if err := c.Write("test", contents(), now); err != nil {
		t.Fatal(err)
	}
	large := contents()
	ticket := storetest.Ticket(alice, "host/large@LAB.TEST")
	ticket.Ticket = bytes.Repeat([]byte("l"), MaxPayload+1)
	large.Credentials = append(large.Credentials, ticket)
	if err := c.Write("test", large, now); !errors.Is(err, unix.EFBIG) {
		t.Errorf("%v, want %v", err, unix.EFBIG)
	}
	if got, err := c.Read("test"); err != nil || !got.Holds(contents()) || len(got.Credentials) != 3 {
		t.Errorf("the cache has changed: %v", err)
	}
}

// Keys that do not have the layout are errors, not caches.
func TestDamaged(t *testing.T) {
	c := open(t)
	if err := c.Write("test", contents(), now); err != nil {
		t.Fatal(err)
	}
	ring, err := c.find("test")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := add(typeUser, "host/b@LAB.TEST", []byte("junk"), ring); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read("test"); !errors.Is(err, ccache.ErrFormat) {
		t.Errorf("a damaged credential: %v", err)
	}
	if _, err := add(typeKeyring, "empty", nil, c.ring); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read("empty"); !errors.Is(err, ccache.ErrFormat) {
		t.Errorf("a cache without a principal: %v", err)
	}
	for _, payload := range []string{"x", "\x00\x00\x00\x02\x00\x00\x00\x01x", "\x00\x00\x00\x01\xff\xff\xff\xffx", "\x00\x00\x00\x01\x00\x00\x00\x01"} {
		if name, err := parsePrimary([]byte(payload)); err == nil {
			t.Errorf("%q names %q", payload, name)
		}
	}
}

func TestParseName(t *testing.T) {
	euid := strconv.Itoa(os.Geteuid())
	for s, want := range map[string]Name{
		"persistent:1000":     {Persistent, "1000", ""},
		"persistent:1000:tkt": {Persistent, "1000", "tkt"},
		"persistent:":         {Persistent, euid, ""},
		"session:work":        {Session, "work", ""},
		"user:":               {User, "", ""},
		"user:a:b:c":          {User, "a", "b:c"},
		"old":                 {Legacy, "old", ""},
	} {
		got, err := ParseName(s)
		if err != nil || got != want {
			t.Errorf("%s: %+v, %v", s, got, err)
		}
		if again, err := ParseName(strings.TrimPrefix(got.String(), "KEYRING:")); err != nil || again != want {
			t.Errorf("%s becomes %v: %v", s, got, err)
		}
	}
	for _, s := range []string{"persistent:alice", "persistent:-1", "persistent:4294967296", "nowhere:x"} {
		if n, err := ParseName(s); err == nil {
			t.Errorf("%s is %+v", s, n)
		}
	}
}

func TestUsers(t *testing.T) {
	if got := parseUsers([]byte("    0:    31 30/30 25/1000000 421/25000000\n 1000:     5 4/4 4/200 54/20000\n")); !slices.Equal(got, []uint32{0, 1000}) {
		t.Errorf("%v", got)
	}
	keys := "0009a14c I--Q---     1   3d 1f030000  1000 65534 keyring   _persistent.1000: 1\n" +
		"0009a14d I--Q---     1   3d 1f030000  1001 65534 keyring   _persistent.1002: 1\n"
	for uid, want := range map[string]bool{"1000": true, "1001": false, "1002": false, "100": false} {
		if got := hasPersistent([]byte(keys), uid); got != want {
			t.Errorf("uid %s: %v", uid, got)
		}
	}
}

// FuzzDecode decodes any payload of a key.
func FuzzDecode(f *testing.F) {
	for _, cred := range contents().Credentials {
		f.Add("key", cred.Bytes())
	}
	f.Add(principalKey, storetest.Principal(alice).Append(nil))
	f.Add(offsetsKey, make([]byte, 8))
	f.Add(primaryKey, []byte("\x00\x00\x00\x01\x00\x00\x00\x01x"))
	f.Fuzz(func(t *testing.T, name string, payload []byte) {
		c := new(ccache.Contents)
		if err := decode(c, description{typ: typeUser, name: name}, payload); err != nil && !errors.Is(err, ccache.ErrFormat) {
			t.Fatal(err)
		}
		for _, cred := range c.Credentials {
			if !bytes.Equal(cred.Bytes(), payload) {
				t.Fatal("a credential does not have the bytes of its payload")
			}
		}
		_, _ = parsePrimary(payload)
		_ = hasPersistent(payload, name)
	})
}
