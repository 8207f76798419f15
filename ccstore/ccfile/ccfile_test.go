package ccfile_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/ccfile"
	"kcmd.org/kcmd/ccstore/storetest"
)

const alice = "alice@LAB.TEST"

// example has a ticket of 60 KiB, one of 1 MiB, and a configuration entry.
func example() *ccache.Contents {
	large, huge := storetest.Ticket(alice, "host/large@LAB.TEST"), storetest.Ticket(alice, "host/huge@LAB.TEST")
	large.Ticket, huge.Ticket = bytes.Repeat([]byte("l"), 60<<10), bytes.Repeat([]byte("h"), 1<<20)
	return &ccache.Contents{
		Principal: storetest.Principal(alice), KDCOffset: -7, Microseconds: -717812,
		Credentials: []*ccache.Credential{storetest.Config(alice, "fast_avail", "yes"), storetest.TGT(alice), large, huge},
	}
}

// small is as kinit leaves it.
func small() *ccache.Contents {
	c := example()
	c.Credentials = c.Credentials[:2]
	return c
}

func TestRoundTrip(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cc")
	want := example()
	if err := ccfile.Write(path, want); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
	got, err := ccfile.Open(path)
	if err != nil || got.Damaged != nil {
		t.Fatal(err, got.Damaged)
	}
	if !got.Equal(want) || got.Microseconds != want.Microseconds {
		t.Error("what is read is not what was written")
	}
	if err := got.Remove(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there after Remove: %v", err)
	}
}

// A file that is cut off anywhere has the credentials before that.
func TestCutOff(t *testing.T) {
	want := small()
	whole := ccfile.Append(nil, want)
	first := len(whole) - len(want.Credentials[1].Bytes())
	for n := range whole {
		c, err := ccfile.Parse(whole[:n])
		switch {
		case c == nil && !errors.Is(err, ccache.ErrFormat):
			t.Errorf("%d bytes: %v", n, err)
		case c != nil && n >= first && len(c.Credentials) != 1:
			t.Errorf("%d bytes have %d credentials", n, len(c.Credentials))
		case c != nil && n != first && len(c.Credentials) == 1 && !errors.Is(err, ccfile.ErrDamaged):
			t.Errorf("%d bytes: %v", n, err)
		}
	}
}

// libkrb5 marks what it removes.
func TestRemoved(t *testing.T) {
	c := small()
	removed := *storetest.TGT(alice)
	removed.EndTime, removed.AuthTime = 0, 0xffffffff
	config := *storetest.Config(alice, "fast_avail", "yes")
	config.Server.Realm, config.AuthTime = "X-RMED-CONF:", 0xffffffff
	opaque := storetest.Ticket(alice, "Encrypted/Credentials/v1@X-GSSPROXY:")
	opaque.EndTime, opaque.AuthTime = 0, 0
	want := append(slices.Clone(c.Credentials), opaque)
	c.Credentials = append(c.Credentials, &removed, &config, opaque)
	got, err := ccfile.Parse(ccfile.Append(nil, c))
	if err != nil || !got.Equal(&ccache.Contents{Principal: c.Principal, KDCOffset: c.KDCOffset, Credentials: want}) {
		t.Errorf("%d credentials, want %d: %v", len(got.Credentials), len(want), err)
	}
}

// appendOld appends a file of a version before 4.
func appendOld(version byte, c *ccache.Contents) []byte {
	order := binary.AppendByteOrder(binary.BigEndian)
	if version < 3 {
		order = binary.NativeEndian
	}
	b := []byte{5, version}
	data := func(d []byte) { b = append(order.AppendUint32(b, uint32(len(d))), d...) }
	principal := func(p ccache.Principal) {
		n := uint32(len(p.Components))
		if version > 1 {
			b = order.AppendUint32(b, uint32(p.NameType))
		} else {
			n++
		}
		b = order.AppendUint32(b, n)
		data([]byte(p.Realm))
		for _, component := range p.Components {
			data([]byte(component))
		}
	}
	principal(c.Principal)
	for _, cred := range c.Credentials {
		principal(cred.Client)
		principal(cred.Server)
		b = order.AppendUint16(b, uint16(cred.Key.Type))
		if version == 3 {
			b = order.AppendUint16(b, uint16(cred.Key.Type))
		}
		data(cred.Key.Value)
		for _, word := range []uint32{cred.AuthTime, cred.StartTime, cred.EndTime, cred.RenewTill} {
			b = order.AppendUint32(b, word)
		}
		b = append(b, cred.IsSKey)
		b = order.AppendUint32(b, uint32(cred.Flags))
		b = order.AppendUint32(b, uint32(len(cred.Addresses)))
		for _, a := range cred.Addresses {
			b = order.AppendUint16(b, a.Type)
			data(a.Data)
		}
		b = order.AppendUint32(b, 0)
		data(cred.Ticket)
		data(cred.SecondTicket)
	}
	return b
}

func TestOldVersions(t *testing.T) {
	want := example()
	want.KDCOffset = 0
	want.Credentials[1].Addresses = []ccache.Address{{Type: 2, Data: []byte{127, 0, 0, 1}}}
	for version := byte(1); version < 4; version++ {
		old := appendOld(version, want)
		got, err := ccfile.Parse(old)
		if err != nil {
			t.Errorf("version %d: %v", version, err)
			continue
		}
		if version == 1 { // it has no name types
			for _, c := range want.Credentials {
				c.Client.NameType, c.Server.NameType = 0, 0
			}
			got, err = ccfile.Parse(appendOld(version, want))
		}
		if err != nil || !got.Equal(want) {
			t.Errorf("version %d has other credentials: %v", version, err)
		}
		want = example()
		want.KDCOffset = 0
		want.Credentials[1].Addresses = []ccache.Address{{Type: 2, Data: []byte{127, 0, 0, 1}}}
		if c, err := ccfile.Parse(old[:len(old)-1]); !errors.Is(err, ccfile.ErrDamaged) || len(c.Credentials) != 3 {
			t.Errorf("version %d, cut off: %v", version, err)
		}
	}
}

// What is in /tmp may be of others.
func TestOpenHostile(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	write := func(name string) {
		if err := ccfile.Write(path(name), small()); err != nil {
			t.Fatal(err)
		}
	}
	must := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"good", "linked", "writable", "large"} {
		write(name)
	}
	must(os.Symlink(path("good"), path("symlink")))
	must(os.Link(path("linked"), path("second")))
	must(os.Chmod(path("writable"), 0o622))
	must(os.Truncate(path("large"), ccfile.MaxSize+1))
	must(syscall.Mkfifo(path("fifo"), 0o600))
	must(os.Mkdir(path("directory"), 0o700))
	must(os.WriteFile(path("junk"), []byte("root:x:0:0"), 0o600))
	must(os.WriteFile(path("empty"), nil, 0o600))
	for name, want := range map[string]string{
		"symlink": "symbolic link", "linked": "has 2 hard links", "writable": "can be written by others",
		"large": "bytes; allowed", "fifo": "not a regular file", "directory": "not a regular file",
		"junk": "does not begin", "empty": "does not begin", "none": "no such file",
	} {
		if _, err := ccfile.Open(path(name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
	if os.Getuid() == 0 {
		must(os.Chown(path("good"), 1, -1))
		if _, err := ccfile.Open(path("good")); err == nil || !strings.Contains(err.Error(), "belongs to uid 1") {
			t.Errorf("file of uid 1: %v", err)
		}
	}
}

// Remove leaves what has changed since it was read.
func TestRemoveChanged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "cc")
	for name, change := range map[string]func() error{
		"replaced": func() error { return ccfile.Write(path, example()) },
		"appended": func() error {
			f, err := os.OpenFile(path, os.O_WRONLY|os.O_APPEND, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			_, err = f.Write(storetest.Ticket(alice, "host/b@LAB.TEST").Bytes())
			return err
		},
	} {
		if err := ccfile.Write(path, small()); err != nil {
			t.Fatal(err)
		}
		f, err := ccfile.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := change(); err != nil {
			t.Fatal(err)
		}
		if err := f.Remove(); !errors.Is(err, ccfile.ErrChanged) {
			t.Errorf("%s: %v, want %v", name, err, ccfile.ErrChanged)
		}
		if _, err := ccfile.Open(path); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDir(t *testing.T) {
	d := ccfile.Dir{Path: filepath.Join(t.TempDir(), "dir")}
	for _, name := range []string{"tktb", "tkta", "tkt"} {
		if err := d.Write(name, small()); err != nil {
			t.Fatal(err)
		}
	}
	if name, err := d.Primary(); err != nil || name != ccfile.Initial {
		t.Errorf("primary %q: %v", name, err)
	}
	if err := d.SetPrimary("tkta"); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(d.Path, "other"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	names, err := d.Names()
	if err != nil || len(names) != 3 || names[0] != "tkta" {
		t.Errorf("names %v: %v", names, err)
	}
	for _, content := range []string{"tkt", "", "../x\n", "tkt/../x\n", "x\n", "tkt" + strings.Repeat("x", 60) + "\n", "tkt\ntkt\n"} {
		if err := os.WriteFile(filepath.Join(d.Path, "primary"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if name, err := d.Primary(); err == nil {
			t.Errorf("the primary cache of %q is %q", content, name)
		}
	}
	if err := os.Chmod(d.Path, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := d.Check(); err == nil {
		t.Error("everyone can write to the directory")
	}
}

// FuzzParse parses any bytes. What it reads it reads again from what Append makes of it.
func FuzzParse(f *testing.F) {
	for version := byte(1); version < 4; version++ {
		f.Add(appendOld(version, small()))
	}
	whole := ccfile.Append(nil, small())
	f.Add(whole)
	f.Add(whole[:len(whole)-1])
	f.Add([]byte{5, 4, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := ccfile.Parse(b)
		if c == nil {
			if err == nil {
				t.Fatal("neither contents nor an error")
			}
			return
		}
		if err != nil && !errors.Is(err, ccfile.ErrDamaged) {
			t.Fatal(err)
		}
		again, err := ccfile.Parse(ccfile.Append(nil, c))
		if err != nil || !again.Equal(c) || again.Microseconds != c.Microseconds {
			t.Fatalf("%d credentials become %d: %v", len(c.Credentials), len(again.Credentials), err)
		}
	})
}
