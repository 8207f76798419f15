package main

import (
	"bytes"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	_ "time/tzdata" // the machine need not have it

	"github.com/google/go-cmp/cmp"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/describe"
	"kcmd.org/kcmd/ccstore/sqlite"
	"kcmd.org/kcmd/ccstore/storetest"
)

const aliceName = "alice@EXAMPLE.COM"

// storeFile makes a database. Each change is made for a uid of its own, from 1000 on.
func storeFile(t *testing.T, changes ...func(tx *ccstore.Tx)) string {
	t.Helper()
	return sealedFile(t, nil, changes...)
}

// sealedFile is storeFile for a database that is encrypted with a key, if it is not
// nil.
func sealedFile(t *testing.T, key []byte, changes ...func(tx *ccstore.Tx)) string {
	t.Helper()
	path := filepath.Join(shortDir(t), "kcmd.db")
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{Key: key})
	if err != nil {
		t.Fatal(err)
	}
	s := ccstore.Open(b, ccstore.Options{})
	for i, change := range changes {
		owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: uint32(1000 + i)}
		if err := s.Update(t.Context(), owner, func(tx *ccstore.Tx) error { change(tx); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

// someTickets makes a cache with several pages of tickets.
func someTickets(tx *ccstore.Tx) {
	creds := []*ccache.Credential{storetest.TGT(aliceName)}
	for i := range 40 {
		creds = append(creds, storetest.Ticket(aliceName, fmt.Sprintf("host/%d@EXAMPLE.COM", i)))
	}
	tx.Replace("x", storetest.Principal(aliceName), 0, creds)
}

// inspected runs kcmd and returns its exit status and its output.
func inspected(t *testing.T, env []string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	p := kcmd(t, args, append(env, "TZ=Europe/Berlin")...)
	var out bytes.Buffer
	p.Stdout = &out
	_ = p.Run()
	return p.ProcessState.ExitCode(), out.String(), p.stderr.String()
}

// zero overwrites the last page that begins with a byte.
func zero(t *testing.T, path string, kind byte) {
	t.Helper()
	const pageSize = 4096
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for page := len(b) - pageSize; page > 0; page -= pageSize {
		if b[page] == kind {
			clear(b[page : page+pageSize])
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			return
		}
	}
	t.Fatal("no such page")
}

func TestCheckCommand(t *testing.T) {
	dir := shortDir(t)
	whole := storeFile(t, someTickets, someTickets)
	damaged := storeFile(t, someTickets, someTickets)
	zero(t, damaged, 0x0d) // with rows of a table
	garbage := storeFile(t, someTickets)
	if err := os.WriteFile(garbage, bytes.Repeat([]byte("garbage "), 1000), 0o600); err != nil {
		t.Fatal(err)
	}
	readable := storeFile(t, someTickets) // to all: a backup may be anybody's
	if err := os.Chmod(readable, 0o644); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(dir, "link.db")
	if err := os.Symlink(readable, link); err != nil {
		t.Fatal(err)
	}
	config := writeFile(t, filepath.Join(dir, "kcmd.toml"), fmt.Sprintf("store = %q", "sqlite:"+whole))
	bad := writeFile(t, filepath.Join(dir, "bad.toml"), `store = "paper:"`)
	for _, tt := range []struct {
		name           string
		env            string
		args           []string
		code           int
		stdout, stderr string
	}{
		{"whole", "", []string{whole}, 0, "2 of 2 collections can be read, with 2 caches and 82 credentials; 0 entries are quarantined\n", ""},
		{"as in the configuration", "", []string{"sqlite:" + whole}, 0, "store " + whole + ", version 3\n", ""},
		{"configured", "", []string{"--config", config}, 0, "store " + whole, ""},
		{"in the environment", "KCMD_STORE=sqlite:" + whole, nil, 0, "store " + whole, ""},
		{"by flag", "", []string{"--store", "sqlite:" + whole}, 0, "store " + whole, ""},
		{"readable", "", []string{readable}, 0, "1 of 1 collections", ""},
		{"link", "", []string{link}, 0, "1 of 1 collections", ""},
		{"damaged", "", []string{damaged}, 1, "damaged: database: Tree ", "kcmd: store " + damaged + " is damaged\n"},
		{"garbage", "", []string{garbage}, 1, "", "kcmd: cannot open store " + garbage + ": file is not a database"},
		{"missing", "", []string{dir + "/none.db"}, 2, "", "kcmd: cannot open store " + dir + "/none.db: there is no such file\n"},
		{"directory", "", []string{dir}, 2, "", "kcmd: cannot open store " + dir + ": "},
		{"memory", "", []string{"memory:"}, 2, "", "kcmd: cannot read store memory:, which is in the memory of its daemon; allowed: sqlite:PATH or PATH\n"},
		{"empty name", "", []string{""}, 2, "", `kcmd: store "" is not allowed; allowed: sqlite:PATH or PATH, of at most 480 bytes without control characters` + "\n"},
		{"two", "", []string{whole, whole}, 2, "", `kcmd: cannot read the command line: unexpected argument "` + whole + `"; allowed: options and one STORE; see kcmd check --help` + "\n"},
		{"flag", "", []string{"--sokcet=x"}, 2, "", "kcmd: cannot read the command line: unknown flag: --sokcet; see kcmd check --help\n"},
		{"bad configuration", "", []string{"--config", bad}, 2, "", "kcmd: cannot read the configuration: " + bad + ": "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stdout, stderr := inspected(t, []string{tt.env}, append([]string{"check"}, tt.args...)...)
			if code != tt.code || !strings.Contains(stdout, tt.stdout) || !strings.HasPrefix(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
				t.Errorf("got %d\n%s%s\nwant %d\n%s%s", code, stdout, stderr, tt.code, tt.stdout, tt.stderr)
			}
		})
	}
	for _, path := range []string{whole, damaged, garbage} {
		if got := names(t, filepath.Dir(path)); got != "kcmd.db kcmd.db-lock kcmd.db-reserve" {
			t.Errorf("check has left: %s", got)
		}
	}
}

// The commands that read a store work beside its daemon, and do not disturb it.
func TestCheckBesideDaemon(t *testing.T) {
	path := storeFile(t, someTickets)
	socket := filepath.Join(filepath.Dir(path), "s")
	daemon := kcmd(t, []string{"--socket", socket, "--bus", "none", "--store", "sqlite:" + path})
	daemon.startServing(socket)
	for _, command := range []string{"check", "dump"} {
		if code, stdout, stderr := inspected(t, nil, command, path); code != 0 || stdout == "" || stderr != "" {
			t.Errorf("%s: %d\n%s%s", command, code, stdout, stderr)
		}
	}
	if state := daemon.ends(syscall.SIGTERM); state.ExitCode() != 0 {
		t.Errorf("the daemon ended with %v\n%s", state, daemon.stderr.String())
	}
	if got := names(t, filepath.Dir(path)); got != "kcmd.db kcmd.db-lock kcmd.db-reserve" {
		t.Errorf("in the directory: %s", got)
	}
}

// manyThings makes caches with tickets, configuration entries, labels and hostile
// names.
func manyThings(tx *ccstore.Tx) {
	later := storetest.Ticket(aliceName, "host/later@EXAMPLE.COM")
	later.StartTime, later.RenewTill, later.Flags, later.Key.Type = 1800000000, 0, ccache.FlagPostdated, 99
	perDestination := storetest.Config(aliceName, "fast_avail", "yes")
	perDestination.Server.Components = append(perDestination.Server.Components, "krbtgt/EXAMPLE.COM@EXAMPLE.COM")
	tx.Replace("1000", storetest.Principal(aliceName), -7, []*ccache.Credential{
		perDestination, storetest.TGT(aliceName), later,
	})
	tx.SetLabel("control \u009b, bidi \u202e")
	tx.Initialize("1000:\x1b[31mred\x9b", ccache.Principal{Realm: "R\x07\u202e", Components: []string{"line\nbreak", "\xfe\x1b]0;title\x07"}})
	tx.SetDefault("1000:\x1b")
}

const dumped = `Collection of 1000, default KCM:1000:\x1B
  KCM:1000 of alice@EXAMPLE.COM
    UUID, changed CHANGED, expires 2096-10-02T09:06:47+02:00, KDC's clock -7 s
    VALID FROM                 ENDS                       RENEW UNTIL                KEY                      BYTES  SERVER                          FLAGS
    2023-11-14T23:13:20+01:00  2096-10-02T09:06:40+02:00  2099-12-03T17:53:20+01:00  aes256-cts-hmac-sha1-96  196    krbtgt/EXAMPLE.COM@EXAMPLE.COM  forwardable,renewable,initial,pre-authenticated
    2027-01-15T09:00:00+01:00  2096-10-02T09:06:40+02:00  -                          99                       180    host/later@EXAMPLE.COM          postdated
    setting fast_avail for krbtgt/EXAMPLE.COM@EXAMPLE.COM (3 bytes)
  KCM:1000:\x1B[31mred\x9B of line\nbreak/\xFE\x1B]0;title\x07@R\x07\xE2\x80\xAE
    UUID, changed CHANGED, expires -, label control \xC2\x9B, bidi \xE2\x80\xAE

Collection of 1001
  KCM:x of alice@EXAMPLE.COM
    UUID, changed CHANGED, expires -

`

func TestDump(t *testing.T) {
	path := storeFile(t, manyThings, func(tx *ccstore.Tx) { tx.Initialize("x", storetest.Principal(aliceName)) })
	code, stdout, stderr := inspected(t, nil, "dump", path)
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	var got strings.Builder
	for line := range strings.Lines(stdout) {
		// These differ in each run.
		if i := strings.Index(line, ", changed "); i > 0 {
			line = "    UUID, changed CHANGED" + line[i+len(", changed 2026-11-21T13:10:38+01:00"):]
		}
		got.WriteString(line)
	}
	if diff := cmp.Diff(dumped, got.String()); diff != "" {
		t.Errorf("dump (-want +got):\n%s", diff)
	}
}

// Each line of dump --json is one collection.
func TestDumpJSON(t *testing.T) {
	code, stdout, stderr := inspected(t, nil, "dump", "--json", storeFile(t, manyThings, someTickets))
	if code != 0 || stderr != "" {
		t.Errorf("exit code %d, %s", code, stderr)
	}
	var got []string
	for line := range strings.Lines(stdout) {
		var c describe.Collection
		if err := json.Unmarshal([]byte(line), &c); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		got = append(got, fmt.Sprintf("%d: %d caches, the first with %d credentials", c.UID, len(c.Caches), len(c.Caches[0].Credentials)))
	}
	want := []string{"1000: 2 caches, the first with 3 credentials", "1001: 1 caches, the first with 41 credentials"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("collections (-want +got):\n%s", diff)
	}
}

// No output contains a secret in any form, even if a credential is incomplete.
func TestInspectorsKeepSecrets(t *testing.T) {
	key, ticket, second, value := []byte("the session key, 32 bytes of it."), []byte("these are the bytes of the ticket"), []byte("and of the second ticket"), []byte("value of a setting")
	cred := storetest.TGT(aliceName)
	cred.Key.Value, cred.Ticket, cred.SecondTicket = key, ticket, second
	setting := storetest.Config(aliceName, "k", string(value))
	path := storeFile(t, func(tx *ccstore.Tx) {
		tx.Replace("x", storetest.Principal(aliceName), 0, []*ccache.Credential{cred, setting})
	})
	half := cred.Append(nil)
	half = half[:len(half)-10]
	b, err := sqlite.Open(t.Context(), path, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	owner := ccstore.Owner{Namespace: ccstore.DefaultNamespace, UID: 1000}
	err = b.Commit(t.Context(), &ccstore.Commit{Owner: owner, Revision: 1, Ops: []ccstore.Op{
		ccstore.PutCredential{CredentialRecord: ccstore.CredentialRecord{Cache: 1, Seq: 9, Data: half}},
		ccstore.PutCredential{CredentialRecord: ccstore.CredentialRecord{Cache: 1, Seq: 10, Data: key}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"dump"}, {"dump", "--json"}, {"check"}} {
		_, stdout, stderr := inspected(t, nil, append(args, path)...)
		if !strings.Contains(stdout, "malformed") {
			t.Errorf("%v does not report the incomplete credential:\n%s", args, stdout)
		}
		for _, secret := range [][]byte{key, ticket, second, value} {
			for form, s := range forms(secret) {
				if strings.Contains(stdout+stderr, s) {
					t.Errorf("%v shows %q, %s:\n%s", args, secret, form, stdout)
				}
			}
		}
	}
}

// forms returns the forms in which part of a secret could appear.
func forms(secret []byte) map[string]string {
	part := secret[3:15]
	return map[string]string{
		"raw":              string(part),
		"hexadecimal":      hex.EncodeToString(part),
		"HEXADECIMAL":      strings.ToUpper(hex.EncodeToString(part)),
		"base64":           base64.StdEncoding.EncodeToString(part), // from byte 3, aligned as in the whole
		"decimal":          strings.Trim(fmt.Sprint(part), "[]"),
		"decimal, in JSON": strings.ReplaceAll(strings.Trim(fmt.Sprint(part), "[]"), " ", ","),
	}
}

// TestInspectSealed reads an encrypted store with its key and without it.
func TestInspectSealed(t *testing.T) {
	key := bytes.Repeat([]byte("k"), sqlite.KeySize)
	path := sealedFile(t, key, someTickets)
	keyFile := filepath.Join(filepath.Dir(path), "key")
	if err := os.WriteFile(keyFile, key, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		command, key   string
		stdout, stderr string
	}{
		{"check", keyFile, "1 of 1 collections can be read, with 1 caches and 41 credentials; 0 entries are quarantined\n", ""},
		{"check", "", "41 credentials were not decrypted, only their checksums are verified: the database is encrypted but no key is configured\n", ""},
		{"check", "kcmd-key", "41 credentials were not decrypted, only their checksums are verified: the database is encrypted but no key is configured\n", "kcmd: cannot use the key kcmd-key: systemd has passed no credentials"},
		{"dump", keyFile, " host/39@EXAMPLE.COM ", ""},
		{"dump", "", " cannot be read: the database is encrypted but no key is configured\n", ""},
	} {
		code, stdout, stderr := inspected(t, []string{"KCMD_ENCRYPTION_KEY=" + tt.key}, tt.command, path)
		if code != 0 || !strings.Contains(stdout, tt.stdout) || !strings.HasPrefix(stderr, tt.stderr) || tt.stderr == "" && stderr != "" {
			t.Errorf("%s with %q: %d\n%s%s\nwant %q and %q", tt.command, tt.key, code, stdout, stderr, tt.stdout, tt.stderr)
		}
		if withKey := tt.key == keyFile; withKey == strings.Contains(stdout, "encrypted") {
			t.Errorf("%s with %q:\n%s", tt.command, tt.key, stdout)
		}
	}
}
