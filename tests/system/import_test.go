package system

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/ccfile"
	"kcmd.org/kcmd/ccstore/storetest"
)

// klist shows of a large cache, of one of an older version and of a damaged one the same in
// a file and in kcmd.
func TestImportShows(t *testing.T) {
	w := newStartedWorld(t, "import")
	const alice = "alice@KCMD.TEST"
	ticket := func(server string, size int) *ccache.Credential {
		c := storetest.Ticket(alice, server)
		c.Ticket = bytes.Repeat([]byte("x"), size)
		return c
	}
	whole := ccfile.Append(nil, &ccache.Contents{Principal: storetest.Principal(alice), KDCOffset: 100, Credentials: []*ccache.Credential{
		storetest.Config(alice, "fast_avail", "yes"), storetest.TGT(alice),
		ticket("host/large@KCMD.TEST", 60<<10), ticket("host/huge@KCMD.TEST", 1<<20),
	}})
	// Version 3 has no header, and the type of the key twice.
	small := &ccache.Contents{Principal: storetest.Principal(alice)}
	third := append([]byte{5, 3}, ccfile.Append(nil, small)[16:]...)
	tgt := storetest.TGT(alice)
	names := tgt.Server.Append(tgt.Client.Append(nil))
	body := tgt.Bytes()[len(names):]
	third = append(append(append(third, names...), body[:2]...), body...)
	for name, content := range map[string][]byte{"whole": whole, "third": third, "damaged": whole[:len(whole)-1]} {
		path := w.lab.Path(name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		before := w.tell("FILE:"+path, "klist", "-C", "-e", "-f", "-a", "-A")
		o := w.tell("KCM:", "kcmctl", "import", "FILE:"+path)
		if (o.Err != nil) != (name == "damaged") || !strings.Contains(o.Stdout, "copied to") {
			t.Errorf("%s: %v\n%s%s", name, o.Err, o.Stdout, o.Stderr)
		}
		after := w.tell("KCM:", "klist", "-C", "-e", "-f", "-a", "-A")
		if before.Err != nil || after.Err != nil || sortedBlocks(before.Stdout) != sortedBlocks(after.Stdout) || !strings.Contains(after.Stdout, "krbtgt/") {
			t.Errorf("%s: the file has\n%s%s\nkcmd has\n%s%s", name, before.Stdout, before.Stderr, after.Stdout, after.Stderr)
		}
		if o := w.tell("KCM:", "kdestroy", "-A"); o.Err != nil {
			t.Fatal(o)
		}
	}
}
