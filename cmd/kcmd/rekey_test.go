package main

import (
	"bytes"
	"database/sql"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

// A rekeyed is a store whose key another process changes.
type rekeyed struct {
	t     *testing.T
	dir   string
	path  string
	users int
}

const (
	ticketsOfUser = 20
	secretText    = "not for those who read the file" // in each ticket
)

// newRekeyed fills a store that is encrypted with the key in the file a.
func newRekeyed(t *testing.T, users int) *rekeyed {
	dir := shortDir(t)
	r := &rekeyed{t: t, dir: dir, path: filepath.Join(dir, "kcmd.db"), users: users}
	for _, name := range []string{"a", "b"} {
		writeKey(t, r.key(name), bytes.Repeat([]byte(name), sqlite.KeySize), 0o600)
	}
	s := ccstore.Open(r.open("a"), ccstore.Options{})
	for uid := range users {
		err := s.Update(t.Context(), r.owner(uid), func(tx *ccstore.Tx) error {
			tx.Initialize("x", storetest.Principal("alice@EXAMPLE.COM"))
			for i := range ticketsOfUser {
				ticket := storetest.Ticket("alice@EXAMPLE.COM", fmt.Sprintf("host/%d@EXAMPLE.COM", i))
				ticket.Ticket = []byte(strings.Repeat(secretText, 30))
				if err := tx.Store("x", ticket); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *rekeyed) key(name string) string { return filepath.Join(r.dir, name+".key") }

func (r *rekeyed) owner(uid int) ccstore.Owner {
	return ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(uid)}
}

func (r *rekeyed) tryOpen(name string) (*sqlite.Backend, error) {
	key, err := loadKey(r.key(name))
	if err != nil {
		r.t.Fatal(err)
	}
	return sqlite.Open(r.t.Context(), r.path, sqlite.Options{Key: key, Synchronous: sqlite.Normal})
}

func (r *rekeyed) open(name string) *sqlite.Backend {
	r.t.Helper()
	b, err := r.tryOpen(name)
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

// process prepares kcmd rekey.
func (r *rekeyed) process(from, to string) *proc {
	config := writeFile(r.t, filepath.Join(r.dir, "kcmd.toml"), fmt.Sprintf("store = %q\nencryption_key = %q\n", "sqlite:"+r.path, r.key(from)))
	return kcmd(r.t, []string{"rekey", "--config", config, "--new-key", r.key(to)})
}

// complete checks that all tickets decrypt with a key.
func (r *rekeyed) complete(name string) {
	r.t.Helper()
	s := ccstore.Open(r.open(name), ccstore.Options{})
	defer s.Close()
	for uid := range r.users {
		err := s.View(r.t.Context(), r.owner(uid), func(c *ccstore.Collection) error {
			cache, err := c.Cache("x")
			if err != nil {
				return err
			}
			if cache.Len() != ticketsOfUser || c.Quarantined() != 0 {
				return fmt.Errorf("%d tickets, %d quarantined", cache.Len(), c.Quarantined())
			}
			return nil
		})
		if err != nil {
			r.t.Fatalf("user %d with key %s: %v", uid, name, err)
		}
	}
}

// TestRekeyKilled kills kcmd rekey at many moments. The store always has the old key or
// the new one, and the next run completes the change.
func TestRekeyKilled(t *testing.T) {
	r := newRekeyed(t, 60)
	begin := time.Now()
	if out, err := r.process("a", "b").Output(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	whole := time.Since(begin)
	r.complete("b")

	from, to := "b", "a"
	killed, changed := 0, 0
	for range 8 {
		if r.killed(from, to, rand.N(whole*5/4)) {
			killed++
		}
		if b, err := r.tryOpen(from); err == nil {
			b.Close()
			r.complete(from)
			continue
		}
		changed++
		r.complete(to)
		from, to = to, from
	}
	t.Logf("it was killed %d times of 8, and had changed the key %d times", killed, changed)
	if killed == 0 {
		t.Error("it was never killed")
	}

	// After one more kill, run it again with the same configuration, also after the
	// change is complete.
	before := r.stored()
	r.killed(from, to, whole/2)
	for range 2 {
		out, err := r.process(from, to).Output()
		if err != nil || !strings.HasSuffix(string(out), fmt.Sprintf("now set encryption_key = %q\n", r.key(to))) {
			t.Fatalf("%v, %s", err, out)
		}
	}
	r.complete(to)
	if _, err := r.tryOpen(from); !errors.Is(err, sqlite.ErrWrongKey) {
		t.Errorf("with the old key: %v", err)
	}
	after, err := os.ReadFile(r.path)
	if err != nil {
		t.Fatal(err)
	}
	for _, data := range before {
		if bytes.Contains(after, data) {
			t.Fatal("data under the old key is still stored")
		}
	}
	if bytes.Contains(after, []byte(secretText)) {
		t.Error("a ticket is in the file")
	}
}

// killed starts kcmd rekey and kills it after that time. It reports whether that was
// before the end.
func (r *rekeyed) killed(from, to string, after time.Duration) bool {
	r.t.Helper()
	p := r.process(from, to)
	if err := p.Start(); err != nil {
		r.t.Fatal(err)
	}
	time.Sleep(after)
	_ = p.Process.Signal(syscall.SIGKILL)
	_ = p.Wait()
	return !p.ProcessState.Exited()
}

// stored returns the data in the rows.
func (r *rekeyed) stored() (list [][]byte) {
	r.t.Helper()
	db, err := sql.Open("sqlite", r.path)
	if err != nil {
		r.t.Fatal(err)
	}
	defer db.Close()
	rows, err := db.Query("SELECT data FROM credentials")
	if err != nil {
		r.t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var data []byte
		if err := rows.Scan(&data); err != nil {
			r.t.Fatal(err)
		}
		list = append(list, data)
	}
	if err := rows.Err(); err != nil || len(list) != r.users*ticketsOfUser {
		r.t.Fatalf("%d rows, %v", len(list), err)
	}
	return list
}

func TestRekeyCommand(t *testing.T) {
	r := newRekeyed(t, 1)
	store := "sqlite:" + r.path
	missing := filepath.Join(r.dir, "missing")
	for _, tt := range []struct {
		args []string
		want string
	}{
		{nil, "kcmd: cannot read the command line: give either --new-key or --plain; see kcmd rekey --help"},
		{[]string{"--plain", "--new-key", "x"}, "kcmd: cannot read the command line: give either --new-key or --plain; see kcmd rekey --help"},
		{[]string{"--new-key", ""}, `kcmd: cannot read the command line: --new-key: "" is not allowed; allowed: the name of a systemd credential or the absolute path of a file; see kcmd rekey --help`},
		{[]string{"now", "--plain"}, `kcmd: cannot read the command line: unexpected argument "now"; allowed: options only; see kcmd rekey --help`},
		{[]string{"--plain", "--store", "memory:"}, "kcmd: cannot change the key of store memory:, which is not a database; allowed: sqlite:PATH"},
		{[]string{"--plain", "--store", "sqlite:" + missing}, "kcmd: cannot change the key of store " + missing + ": stat " + missing + ": no such file or directory"},
		{[]string{"--plain", "--store", store}, "kcmd: cannot change the key of store " + r.path + ": the database is encrypted but no key is configured; set encryption_key"},
		{[]string{"--plain", "--store", store, "--encryption-key", r.key("b")}, "kcmd: cannot change the key of store " + r.path + `: the database is encrypted with another key than the configured one; encryption_key is "` + r.key("b") + `"`},
		{[]string{"--new-key", missing, "--store", store, "--encryption-key", r.key("a")}, "kcmd: cannot use the key " + missing + ": open " + missing + ": no such file or directory"},
	} {
		empty := writeFile(t, filepath.Join(r.dir, "empty.toml"), "")
		if got := kcmd(t, append([]string{"rekey"}, tt.args...), "KCMD_CONFIG="+empty).fails(1); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.args, got, tt.want)
		}
	}
	r.complete("a")

	daemon := kcmd(t, []string{"--socket", filepath.Join(r.dir, "s"), "--bus", "none", "--store", store, "--encryption-key", r.key("a")})
	daemon.startServing(filepath.Join(r.dir, "s"))
	eventually(t, "the store in use", func() bool { return strings.Contains(daemon.stderr.String(), "serving") })
	if got, want := r.process("a", "b").fails(1), "kcmd: cannot change the key of store "+r.path+": another process uses it"; got != want {
		t.Errorf("beside a daemon:\n got %s\nwant %s", got, want)
	}
	daemon.ends(syscall.SIGTERM)

	out, err := kcmd(t, []string{"rekey", "--plain", "--store", store}, "KCMD_ENCRYPTION_KEY="+r.key("a"), "KCMD_CONFIG="+filepath.Join(r.dir, "empty.toml")).Output()
	if want := r.path + ": changed 20 credentials\nnow set encryption_key = \"\"\n"; err != nil || string(out) != want {
		t.Errorf("%v, %s; want %s", err, out, want)
	}
	text, err := os.ReadFile(r.path)
	if err != nil || !bytes.Contains(text, []byte(secretText)) {
		t.Errorf("the tickets are not plain: %v", err)
	}
}

// TestKeyOfStart starts a daemon with wrong keys.
func TestKeyOfStart(t *testing.T) {
	r := newRekeyed(t, 1)
	socket := filepath.Join(r.dir, "s")
	args := func(more ...string) []string {
		return append([]string{"--socket", socket, "--bus", "none", "--store", "sqlite:" + r.path}, more...)
	}
	for _, tt := range []struct {
		args []string
		want string
	}{
		{args(), "kcmd: cannot open store " + r.path + ": the database is encrypted but no key is configured; set encryption_key"},
		{args("--encryption-key", r.key("b")), "kcmd: cannot open store " + r.path + `: the database is encrypted with another key than the configured one; encryption_key is "` + r.key("b") + `"`},
		{args("--encryption-key", r.key("c")), "kcmd: cannot use the key " + r.key("c") + ": open " + r.key("c") + ": no such file or directory"},
		{args("--encryption-key", "kcmd-key"), "kcmd: cannot use the key kcmd-key: systemd has passed no credentials (CREDENTIALS_DIRECTORY is not set); see LoadCredentialEncrypted= in systemd.exec(5)"},
	} {
		if got := kcmd(t, tt.args).fails(1); got != tt.want {
			t.Errorf("%q:\n got %s\nwant %s", tt.args, got, tt.want)
		}
		if _, err := os.Lstat(socket); err == nil {
			t.Errorf("%q: it left its socket", tt.args)
		}
	}
	p := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "memory:", "--encryption-key", "kcmd-key"})
	p.startServing(socket)
	eventually(t, "a line in the log", func() bool {
		return strings.Contains(p.stderr.String(), "encryption_key is not used: the store is in memory")
	})
}
