package ccstore_test

import (
	"bufio"
	"crypto/rand"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
)

// A masked key is how a test knows a session key without having it in memory.
type masked []byte

const mask = 0x5a

// underRace is set with the race detector, whose own memory would be searched too:
// that takes many minutes.
var underRace bool

// in counts the key's copies in b.
func (m masked) in(b []byte) (n int) {
next:
	for i := 0; i+len(m) <= len(b); i++ {
		for j := range m {
			if b[i+j]^mask != m[j] {
				continue next
			}
		}
		n++
	}
	return n
}

// secret returns a ticket as a client sends it, with a session key of its own.
func secret(tb testing.TB, server string) (*ccache.Credential, masked) {
	tb.Helper()
	if underRace {
		tb.Skip("the race detector's memory is too large to search")
	}
	cred := host(server)
	cred.Ticket = make([]byte, 1000)
	cred.Key.Value = make([]byte, 32)
	sent := cred.Append(make([]byte, 0, 2000))
	parsed, err := ccache.ParseCredential(sent)
	if err != nil {
		tb.Fatal(err)
	}
	rand.Read(parsed.Key.Value)
	m := make(masked, len(parsed.Key.Value))
	for i, b := range parsed.Key.Value {
		m[i] = b ^ mask
	}
	return parsed, m
}

// copies counts the copies of a key in the memory of this process, as one with its
// core dump sees it.
func copies(tb testing.TB, key masked) (n int) {
	tb.Helper()
	// Outside of the heap, which is searched.
	buf, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE)
	if err != nil {
		tb.Fatal(err)
	}
	defer unix.Munmap(buf)
	defer clear(buf)
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		tb.Skip(err)
	}
	defer maps.Close()
	mem, err := os.Open("/proc/self/mem")
	if err != nil {
		tb.Skip(err)
	}
	defer mem.Close()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		var from, to uint64
		var perm string
		if _, err := fmt.Sscanf(lines.Text(), "%x-%x %s", &from, &to, &perm); err != nil {
			tb.Fatal(err)
		}
		if !strings.HasPrefix(perm, "rw") {
			continue
		}
		n += copiesBetween(io.NewSectionReader(mem, int64(from), int64(to-from)), key, buf)
	}
	return n
}

// copiesBetween counts the copies of a key in what r reads, into buf. That may be buf
// itself, with what was read before.
func copiesBetween(r io.Reader, key masked, buf []byte) (n int) {
	clear(buf)
	kept := 0 // of a key that two reads share
	for {
		got, err := r.Read(buf[kept:])
		if got <= 0 || err != nil {
			return n // or a page that is not readable
		}
		n += key.in(buf[:kept+got])
		tail := buf[max(0, kept+got-len(key)+1) : kept+got]
		kept = copy(buf, tail)
	}
}

// TestKeysAreWiped has tickets leave the store in each way: their keys leave the
// memory of the process, once nobody reads a snapshot that has them.
func TestKeysAreWiped(t *testing.T) {
	for _, tt := range []struct {
		name  string
		leave func(tx *ccstore.Tx) error
	}{
		{"destroyed", func(tx *ccstore.Tx) error { return tx.Destroy("x") }},
		{"initialized", func(tx *ccstore.Tx) error { tx.Initialize("x", storetest.Principal(alice)); return nil }},
		{"removed", func(tx *ccstore.Tx) error { _, err := tx.Remove("x", &ccache.Match{}); return err }},
		{"replaced", func(tx *ccstore.Tx) error { return tx.Store("x", host("secret")) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := storetest.New(t, memory.New())
			cred, key := secret(t, "secret")
			update(t, s, fill("x", cred))
			clear(cred.Bytes()) // as if the next request were read there
			waitCopies(t, key, 1)
			reading := stored(t, s)
			update(t, s, tt.leave)
			runtime.GC()
			runtime.GC()
			if n := key.in(reading.Bytes()); n != 1 {
				t.Error("a reader of an old snapshot finds its key changed")
			}
			runtime.KeepAlive(reading)
			waitWiped(t, key)
		})
	}
}

// TestKeysOfIdleAreWiped has a collection leave memory because nobody uses it.
func TestKeysOfIdleAreWiped(t *testing.T) {
	s := ccstore.Open(discarding{}, ccstore.Options{Idle: time.Millisecond})
	defer s.Close()
	cred, key := secret(t, "secret")
	update(t, s, fill("x", cred))
	clear(cred.Bytes())
	waitWiped(t, key)
}

// waitWiped waits until the key is not in memory any more.
func waitWiped(tb testing.TB, key masked) {
	tb.Helper()
	waitCopies(tb, key, 0)
}

// waitCopies waits until the key is so many times in memory. Besides what the store holds
// there are the registers of a thread that was stopped while it copied the key, until it is
// stopped again.
func waitCopies(tb testing.TB, key masked, want int) {
	tb.Helper()
	const collections = 100 // as a rule two are enough
	for range collections {
		runtime.GC()
		if copies(tb, key) == want {
			return
		}
	}
	tb.Fatalf("the key is still %d times in memory, want %d", copies(tb, key), want)
}

func update(tb testing.TB, s *ccstore.Store, f func(*ccstore.Tx) error) {
	tb.Helper()
	if err := s.Update(tb.Context(), owner, f); err != nil {
		tb.Fatal(err)
	}
}

// stored returns the credential in the cache x.
func stored(tb testing.TB, s *ccstore.Store) *ccstore.Credential {
	tb.Helper()
	c, err := s.Snapshot(tb.Context(), owner)
	if err != nil {
		tb.Fatal(err)
	}
	cache, err := c.Cache("x")
	if err != nil {
		tb.Fatal(err)
	}
	cred, err := cache.Find(&ccache.Match{})
	if err != nil {
		tb.Fatal(err)
	}
	return cred
}
