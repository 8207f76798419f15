package durability

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"testing"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/storetest"
)

// TestFlushes counts how often the daemon waits for the disk. A change waits once for
// the log, also the first one after the start and after the log was erased. Later there
// is nothing to write after changes that only add. After one that deletes there are at
// most three flushes: of pages whose gaps are cleared, of the database, and of the
// header of the log, before which no frame may be overwritten.
func TestFlushes(t *testing.T) {
	needTracing(t)
	l, d := newLab(t)
	calls := l.Path("strace")
	d.Through = []string{"strace", "-D", "-f", "-q", "-y", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-o", calls}
	if err := d.Start("--synchronous", "full"); err != nil {
		t.Fatal(err)
	}
	c := mustDial(t, d.Socket)
	read := func(path string) []byte {
		t.Helper()
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	ended := regexp.MustCompile(`(?m)= 0$`)
	flushes := func() int { return len(ended.FindAll(read(calls), -1)) }

	name := fmt.Sprint(os.Getuid())
	ticket := func(i int) *ccache.Credential {
		return storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/%d@EXAMPLE.COM", i))
	}
	kinit := func() error {
		return c.Replace(name, 0, storetest.Principal("alice@EXAMPLE.COM"), []*ccache.Credential{storetest.TGT("alice@EXAMPLE.COM"), ticket(1)})
	}
	before := flushes()
	want := func(what string, least, most int) {
		t.Helper()
		if n := flushes() - before; n < least || n > most {
			t.Errorf("%s: %d flushes, want %d to %d", what, n, least, most)
		}
		before = flushes()
	}
	change := func(what string, flushes int, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		want(what, flushes, flushes)
	}
	change("kinit", 1, kinit())
	change("the default that it is", 0, c.SetDefaultCache(name))
	change("kvno", 1, c.Store(name, ticket(2)))
	change("kvno", 1, c.Store(name, ticket(3)))

	change("kdestroy", 1, c.Destroy(name))
	const second, frame = 32 + 24 + 4096, 24
	until(t, "the log to be erased", func() bool {
		return bytes.Equal(read(d.Database + "-wal")[second:second+frame], make([]byte, frame))
	})
	want("the log", 2, 3)
	change("kinit after kdestroy", 1, kinit())
	change("kvno", 1, c.Store(name, ticket(2)))
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
}
