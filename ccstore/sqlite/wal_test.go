package sqlite_test

import (
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/storetest"
)

// killed has the files of a killed daemon, in whose store each of users created a
// cache in order.
type killed struct {
	main, wal, shm []byte
	users          uint32
}

func kill(t *testing.T, users uint32) killed {
	t.Helper()
	path := filepath.Join(privateDir(t), "kcmd.db")
	s := storetest.New(t, open(t, path))
	for uid := range users {
		fillOne(t, s, uid)
	}
	read := func(suffix string) []byte {
		b, err := os.ReadFile(path + suffix)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	return killed{read(""), read("-wal"), read("-shm"), users}
}

// leave writes the files to a new directory. A nil one is missing.
func leave(t *testing.T, main, wal, shm []byte) (path string) {
	t.Helper()
	path = filepath.Join(privateDir(t), "kcmd.db")
	write(t, path+"-lock", nil)
	for suffix, b := range map[string][]byte{"": main, "-wal": wal, "-shm": shm} {
		if b != nil {
			write(t, path+suffix, b)
		}
	}
	return path
}

// left returns the users whose caches still exist.
func left(t *testing.T, s *ccstore.Store, of uint32) []uint32 {
	t.Helper()
	var list []uint32
	for uid := range of {
		err := s.View(t.Context(), user(uid), func(c *ccstore.Collection) error {
			if cache, err := c.Cache("x"); err == nil && cache.Tickets() == 1 {
				list = append(list, uid)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	return list
}

// TestWAL starts after a kill with a damaged WAL, or a damaged index of it.
func TestWAL(t *testing.T) {
	k := kill(t, 10)
	all := []uint32{0, 1, 2, 3, 4, 5, 6, 7, 8, 9}
	garbled := func(b []byte, at int) []byte {
		b = slices.Clone(b)
		for i := range min(64, len(b)-at) {
			b[at+i] ^= 0x55
		}
		return b
	}
	for _, tt := range []struct {
		name string
		path string
		left []uint32 // nil: the first ones, at least one and not all
		log  string   // "": nothing is logged
		kept string   // suffix of the quarantined file
	}{
		{"unchanged", leave(t, k.main, k.wal, k.shm), all, "", ""},
		{"without its index", leave(t, k.main, k.wal, nil), all, "", ""},
		{"index of nothing", leave(t, k.main, k.wal, make([]byte, len(k.shm))), all, "", ""},
		{"index garbled", leave(t, k.main, k.wal, garbled(k.shm, 0)), all, "", ""},
		{"index of another", leave(t, k.main, k.wal, kill(t, 3).shm), all, "", ""},
		{"half a frame at the end", leave(t, k.main, slices.Concat(k.wal, k.wal[32:2000]), nil), all, "", ""},
		{"frames of before at the end", leave(t, k.main, slices.Concat(k.wal, kill(t, 1).wal[32:]), nil), all, "", ""},
		{"end missing", leave(t, k.main, k.wal[:len(k.wal)-5000], nil), nil, "", ""},
		{"garbled in the middle", leave(t, k.main, garbled(k.wal, len(k.wal)/2), nil), nil, "commits at the end of the write-ahead log cannot be read", ""},
		{"beginning garbled", leave(t, k.main, garbled(k.wal, 0), nil), []uint32{}, "nothing of the write-ahead log can be read", "-wal"},
		{"database missing", leave(t, nil, k.wal, nil), []uint32{}, "write-ahead log without its database", "-wal"},
		{"database empty", leave(t, []byte{}, k.wal, nil), []uint32{}, "write-ahead log without its database", "-wal"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			wal, err := os.ReadFile(tt.path + "-wal")
			if err != nil {
				t.Fatal(err)
			}
			s, log := openLogged(t, tt.path)
			got := left(t, s, k.users)
			switch {
			case tt.left == nil:
				if !slices.Equal(got, all[:len(got)]) || len(got) == 0 || len(got) == len(all) {
					t.Errorf("left are %v, want the first ones", got)
				}
			case !slices.Equal(got, tt.left):
				t.Errorf("left are %v, want %v", got, tt.left)
			}
			if text := log.String(); !strings.Contains(text, tt.log) || tt.log == "" && text != "" {
				t.Errorf("log, want %q:\n%s", tt.log, text)
			}
			if tt.kept != "" {
				kept, _ := filepath.Glob(tt.path + ".corrupt-*" + tt.kept)
				if len(kept) != 1 || !strings.Contains(log.String(), strings.TrimSuffix(kept[0], tt.kept)) {
					t.Fatalf("kept are %v, want one that the log names:\n%s", kept, log)
				}
				if b, err := os.ReadFile(kept[0]); err != nil || !bytes.Equal(b, wal) {
					t.Errorf("%s is not the WAL", kept[0])
				}
			}
			if err := s.Check(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestEmptyWAL starts with an empty WAL.
func TestEmptyWAL(t *testing.T) {
	file, contents := smallStore(t)
	path := used(t, file)
	write(t, path+"-wal", nil)
	if outcome := serve(t, path, contents); outcome != whole {
		t.Errorf("%s, want %s", outcome, whole)
	}
}

// TestForeignWAL has the WAL of one store beside another one, as if a backup was
// copied over the database of a killed daemon. SQLite uses the pages of both. No user
// gets the tickets of another one, and the damage is detected.
func TestForeignWAL(t *testing.T) {
	file, contents := smallStore(t)
	other, otherContents := storeWith(t, 25)
	path := used(t, other)
	s, _ := openLogged(t, path)
	for uid := range uint32(8) {
		fillOne(t, s, uid)
		err := s.View(t.Context(), user(uid), func(c *ccstore.Collection) error {
			// The user may get contents of both stores.
			contents[user(uid)] = slices.Concat(contents[user(uid)], otherContents[user(uid)], described(c))
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}

	path = leave(t, file, wal, nil)
	mixed, log := openLogged(t, path)
	for uid := range uint32(8) {
		if _, err := look(t, mixed, user(uid), contents[user(uid)]); err != nil {
			t.Logf("%d: %v", uid, err)
		}
	}
	// The check in the background finds what no request meets.
	eventually(t, "the damage to be detected", func() bool { return strings.Contains(log.String(), "the store is damaged") })
	_ = mixed.Close()
	serveAfterMark(t, path)
}

// TestCheckInBackground starts after a kill with damage that no request meets.
func TestCheckInBackground(t *testing.T) {
	file, _ := smallStore(t)
	path := used(t, file)
	s, _ := openLogged(t, path)
	fillOne(t, s, 0)
	wal, err := os.ReadFile(path + "-wal")
	if err != nil {
		t.Fatal(err)
	}
	hurt := slices.Clone(file)
	clear(leaf(t, hurt, wal))
	path = leave(t, hurt, wal, nil)
	s, log := openLogged(t, path)
	eventually(t, "the damage to be detected", func() bool { return strings.Contains(log.String(), "the store is damaged") })
	eventually(t, "the mark", func() bool { return exists(path + "-damaged") })
	_ = s.Close()
	serveAfterMark(t, path)
}

// leaf returns a page of a database with rows that is not in the WAL.
func leaf(t *testing.T, file, wal []byte) []byte {
	t.Helper()
	written := make(map[int]bool)
	for frame := 32; frame < len(wal); frame += 24 + pageSize {
		written[int(binary.BigEndian.Uint32(wal[frame:]))] = true
	}
	for page := len(file) / pageSize; page > 1; page-- {
		b := file[(page-1)*pageSize : page*pageSize]
		if rows := binary.BigEndian.Uint16(b[3:]); b[0] == 0x0d && rows > 0 && !written[page] {
			return b
		}
	}
	t.Fatal("there is no such page")
	return nil
}

// TestJournal starts after another program without WAL was killed.
func TestJournal(t *testing.T) {
	file, contents := smallStore(t)
	path := used(t, file)
	execKilled(t, path, "DELETE", "BEGIN; UPDATE credentials SET data = zeroblob(5000), sum = 0")
	if b, err := os.ReadFile(path); err != nil || bytes.Equal(b, file) {
		t.Fatal("the database was not touched")
	}
	if outcome := serve(t, path, contents); outcome != whole {
		t.Errorf("%s, want %s", outcome, whole)
	}
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
