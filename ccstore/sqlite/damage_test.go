package sqlite_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

const pageSize = 4096

// A logText is a log that can be read while it is written.
type logText struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *logText) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *logText) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// openLogged opens a store at path, which unlike with storetest.New may be damaged.
func openLogged(t *testing.T, path string) (*ccstore.Store, *logText) {
	t.Helper()
	text := &logText{}
	log := slog.New(slog.NewTextHandler(io.MultiWriter(text), nil))
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{Logger: log})
	if err != nil {
		t.Fatal(err)
	}
	s := ccstore.Open(b, ccstore.Options{Logger: log})
	t.Cleanup(func() { s.Close() })
	return s, text
}

// smallStore creates a database with pages of all kinds: in trees of two levels,
// overflow pages and free ones. It returns its bytes and the contents of each user.
func smallStore(t *testing.T) (file []byte, contents map[ccstore.Owner][]string) {
	t.Helper()
	return storeWith(t, 40)
}

// storeWith creates a database in which a cache of each user has that many tickets.
func storeWith(t *testing.T, tickets int) (file []byte, contents map[ccstore.Owner][]string) {
	t.Helper()
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	contents = make(map[ccstore.Owner][]string)
	for uid := range uint32(8) {
		client := fmt.Sprintf("user%d@EXAMPLE.COM", uid)
		creds := []*ccache.Credential{storetest.Config(client, "fast_avail", "yes"), storetest.TGT(client)}
		creds = append(creds, storetest.Tickets(client, tickets)...)
		creds[9].Ticket = bytes.Repeat([]byte(client), 600) // over several pages
		update(t, s, user(uid), func(tx *ccstore.Tx) error {
			tx.Replace("gone", storetest.Principal(client), 0, creds[:10])
			tx.Replace(fmt.Sprint(uid), storetest.Principal(client), 0, creds)
			tx.Replace(fmt.Sprint(uid)+":b", storetest.Principal(client), 5, creds[:2])
			return nil
		})
		update(t, s, user(uid), func(tx *ccstore.Tx) error { return tx.Destroy("gone") })
		err := s.View(t.Context(), user(uid), func(c *ccstore.Collection) error {
			contents[user(uid)] = described(c)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return file, contents
}

func update(t *testing.T, s *ccstore.Store, o ccstore.Owner, f func(tx *ccstore.Tx) error) {
	t.Helper()
	if err := s.Update(t.Context(), o, f); err != nil {
		t.Fatal(err)
	}
}

// described returns all that a client can see of a collection.
func described(c *ccstore.Collection) []string {
	list := []string{}
	for _, cache := range c.Caches() {
		list = append(list, fmt.Sprintf("%s %s %s %d %q", cache.UUID, cache.Name, cache.Principal, cache.KDCOffset, cache.Label))
		for cred := range cache.Credentials() {
			list = append(list, fmt.Sprintf("%s %s %x", cache.Name, cred.UUID, cred.Bytes()))
		}
	}
	return list
}

// The outcomes for a damaged store.
const (
	whole  = "whole"
	moved  = "quarantined"
	failed = "failed for some" // but not for all
	none   = "failed for all"
	lost   = "entries quarantined"
)

// serve uses a damaged store as a daemon does, and returns the outcome. No user gets
// anything but what they stored, and the log names what is missing.
func serve(t *testing.T, path string, contents map[ccstore.Owner][]string) string {
	t.Helper()
	damaged, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s, log := openLogged(t, path)
	outcome := whole
	if quarantined, _ := filepath.Glob(path + ".corrupt-*"); len(quarantined) > 0 {
		outcome = moved
		if kept, err := os.ReadFile(quarantined[0]); err != nil || !bytes.Equal(kept, damaged) {
			t.Errorf("%s is not the damaged file", quarantined[0])
		}
		if !strings.Contains(log.String(), "level=ERROR") || !strings.Contains(log.String(), quarantined[0]) {
			t.Errorf("the log does not say where the file went:\n%s", log)
		}
		contents = nil
	}
	failures := 0
	for uid := range uint32(8) {
		switch left, err := look(t, s, user(uid), contents[user(uid)]); {
		case err != nil:
			failures++
		case !left:
			outcome = lost
			if !strings.Contains(log.String(), "quarantined") {
				t.Errorf("entries of %d are missing, and the log does not say so:\n%s", uid, log)
			}
		}
	}
	for uid := range uint32(9) { // and a new one
		if err := add(t, s, user(uid)); err != nil {
			failures++
		}
	}
	switch {
	case failures == 8+9:
		outcome = none
	case failures > 0:
		outcome = failed
	}
	if failures > 0 {
		if !strings.Contains(log.String(), "the store is damaged") {
			t.Errorf("requests failed, and the log does not say why:\n%s", log)
		}
	}
	_ = s.Close() // may fail for the same reason
	if failures > 0 {
		serveAfterMark(t, path)
	}
	return outcome
}

// look reports whether a user still has all entries.
func look(t *testing.T, s *ccstore.Store, o ccstore.Owner, had []string) (all bool, err error) {
	t.Helper()
	err = s.View(t.Context(), o, func(c *ccstore.Collection) error {
		has := described(c)
		for _, entry := range has {
			if !slices.Contains(had, entry) {
				t.Errorf("%s gets an entry that was not stored: %.200s", o, entry)
			}
		}
		all = len(has) == len(had)
		return nil
	})
	// The client reads "Input/output error".
	if err != nil && !(errors.Is(err, ccstore.ErrBackend) && errors.Is(err, unix.EIO)) {
		t.Errorf("View: %v", err)
	}
	return all, err
}

// add stores a ticket in a new cache and reads it.
func add(t *testing.T, s *ccstore.Store, o ccstore.Owner) error {
	t.Helper()
	ticket := storetest.Ticket("new@EXAMPLE.COM", "host/new@EXAMPLE.COM")
	err := s.Update(t.Context(), o, func(tx *ccstore.Tx) error {
		tx.Replace("new", storetest.Principal("new@EXAMPLE.COM"), 0, []*ccache.Credential{ticket})
		return nil
	})
	if err != nil {
		if !errors.Is(err, ccstore.ErrBackend) {
			t.Errorf("Update: %v", err)
		}
		return err
	}
	return s.View(t.Context(), o, func(c *ccstore.Collection) error {
		cache, err := c.Cache("new")
		if err != nil || cache.Tickets() != 1 {
			t.Errorf("the stored ticket is missing: %v", err)
		}
		return nil
	})
}

// serveAfterMark starts again after damage was detected: the file is quarantined, and
// all users are served.
func serveAfterMark(t *testing.T, path string) {
	t.Helper()
	s, log := openLogged(t, path)
	defer s.Close()
	if quarantined, _ := filepath.Glob(path + ".corrupt-*"); len(quarantined) != 1 || !strings.Contains(log.String(), quarantined[0]) {
		t.Errorf("the damaged file was not quarantined at the next start: %v\n%s", quarantined, log)
	}
	for uid := range uint32(9) {
		if err := add(t, s, user(uid)); err != nil {
			t.Errorf("after the next start: %v", err)
		}
	}
	if err := s.Check(t.Context()); err != nil {
		t.Errorf("after the next start: %v", err)
	}
	if exists(path + "-damaged") {
		t.Error("the mark still exists")
	}
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}

// used writes a database as a daemon leaves it, and returns its path.
func used(t *testing.T, file []byte) string {
	t.Helper()
	path := filepath.Join(privateDir(t), "kcmd.db")
	write(t, path, file)
	write(t, path+"-lock", nil)
	return path
}

func write(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestZeroedPages zeroes each page of a database in turn.
func TestZeroedPages(t *testing.T) {
	file, contents := smallStore(t)
	if outcome := serve(t, used(t, file), contents); outcome != whole {
		t.Fatalf("the undamaged store: %s", outcome)
	}
	outcomes := make(map[string][]int)
	for page := range len(file) / pageSize {
		hurt := slices.Clone(file)
		clear(hurt[page*pageSize : (page+1)*pageSize])
		outcome := serve(t, used(t, hurt), contents)
		outcomes[outcome] = append(outcomes[outcome], page+1)
	}
	for _, outcome := range []string{whole, moved, failed, lost} {
		if len(outcomes[outcome]) == 0 {
			t.Errorf("of %d pages, none when zeroed has the outcome %q", len(file)/pageSize, outcome)
		}
	}
	for outcome, pages := range outcomes {
		t.Logf("%s: pages %v", outcome, pages)
	}
}

// TestTruncated truncates a database at the end and in the middle of each page.
func TestTruncated(t *testing.T) {
	file, contents := smallStore(t)
	for size := pageSize / 2; size < len(file); size += pageSize / 2 {
		outcome := serve(t, used(t, file[:size]), contents)
		// SQLite takes half a page at the end for a whole one.
		if outcome != moved && size < len(file)-pageSize {
			t.Errorf("cut to %d bytes of %d: %s, want %s", size, len(file), outcome, moved)
		}
	}
	// An empty file looks like one that was never filled.
	s, log := openLogged(t, used(t, nil))
	if all, err := look(t, s, user(0), nil); err != nil || !all {
		t.Errorf("empty file: %v", err)
	}
	if !strings.Contains(log.String(), "level=WARN") {
		t.Errorf("the log does not mention the empty file:\n%s", log)
	}
}

// TestGarbage changes bytes at random. Whatever the outcome, no user gets anything but
// what they stored.
func TestGarbage(t *testing.T) {
	file, contents := smallStore(t)
	outcomes := make(map[string]int)
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 0))
		hurt := slices.Clone(file)
		for range 1 + rnd.IntN(200) {
			// Not in the header, which could name another program.
			hurt[100+rnd.IntN(len(hurt)-100)] = byte(rnd.Uint32())
		}
		path := used(t, hurt)
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) {
			s, _ := openLogged(t, path)
			outcome := whole
			for uid := range uint32(8) {
				if _, err := look(t, s, user(uid), contents[user(uid)]); err != nil {
					outcome = failed
				}
				_ = add(t, s, user(uid))
			}
			if quarantined, _ := filepath.Glob(path + ".corrupt-*"); len(quarantined) > 0 {
				outcome = moved
			}
			outcomes[outcome]++
		})
	}
	t.Logf("outcomes: %v", outcomes)
}

// TestGarbageTables changes a letter of a table's name in the schema of the database.
func TestGarbageTables(t *testing.T) {
	file, contents := smallStore(t)
	for _, table := range []string{"collections", "caches", "credentials", "keys", "discarded", "deadlines"} {
		for i := range bytes.Count(file, []byte(table)) {
			hurt := slices.Clone(file)
			at := 0
			for range i + 1 {
				at += 1 + bytes.Index(hurt[at:], []byte(table))
			}
			hurt[at] ^= 0x01
			if outcome := serve(t, used(t, hurt), contents); outcome != moved {
				t.Errorf("%s, its mention %d: %s, want %s", table, i, outcome, moved)
			}
		}
	}
}

// TestGarbageHeader has a database without a valid header.
func TestGarbageHeader(t *testing.T) {
	file, contents := smallStore(t)
	hurt := slices.Clone(file)
	copy(hurt, bytes.Repeat([]byte("garbage "), 13))
	if outcome := serve(t, used(t, hurt), contents); outcome != moved {
		t.Errorf("%s, want %s", outcome, moved)
	}
}

// TestMovedTwice quarantines damaged files within a second: none replaces another.
func TestMovedTwice(t *testing.T) {
	file, _ := smallStore(t)
	path := used(t, file[:pageSize])
	for n := range 3 {
		s, _ := openLogged(t, path)
		if _, err := look(t, s, user(0), nil); err != nil {
			t.Fatal(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		if quarantined, _ := filepath.Glob(path + ".corrupt-*"); len(quarantined) != n+1 {
			t.Errorf("%d files are kept, want %d: %v", len(quarantined), n+1, quarantined)
		}
		write(t, path, file[:pageSize])
	}
}

// TestFalseAlarm has a mark beside an undamaged database.
func TestFalseAlarm(t *testing.T) {
	file, contents := smallStore(t)
	path := used(t, file)
	write(t, path+"-damaged", nil)
	if outcome := serve(t, path, contents); outcome != whole {
		t.Errorf("%s, want %s", outcome, whole)
	}
	if exists(path + "-damaged") {
		t.Error("the mark still exists")
	}
}
