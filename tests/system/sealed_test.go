package system

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/tests/lab"
)

// TestSealed stores tickets with a key: no file of the store has them, and kcmd serves
// them again with the key, before and after its change.
func TestSealed(t *testing.T) {
	w := newStoppedWorld(t, "sealed")
	key := newKeyFile(t, w.lab, "key")
	start := func(args ...string) {
		t.Helper()
		if err := w.daemon.Start(args...); err != nil {
			t.Fatal(err)
		}
	}
	start("--encryption-key", key)
	w.mustRun(t, "kinit", "alice")
	w.mustRun(t, "kvno", w.service)
	listed := w.mustRun(t, "klist")
	secrets := secretsOf(t, w.daemon.Socket)
	if len(secrets) < 4 {
		t.Fatalf("%d secrets, want those of a TGT and of a service ticket", len(secrets))
	}
	absent(t, w.daemon, secrets)

	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	absent(t, w.daemon, secrets)
	start("--encryption-key", key)
	if again := w.mustRun(t, "klist"); again != listed {
		t.Errorf("after a restart klist says\n%s\nand said before\n%s", again, listed)
	}
	if err := w.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	absent(t, w.daemon, secrets)

	before := storeFiles(t, w.daemon)
	w.mustRefuse(t, "the database is encrypted but no key is configured; set encryption_key")
	other := newKeyFile(t, w.lab, "other")
	w.mustRefuse(t, "the database is encrypted with another key than the configured one", "--encryption-key", other)
	if after := storeFiles(t, w.daemon); after["kcmd.db"] != before["kcmd.db"] || after["kcmd.db-wal"] != before["kcmd.db-wal"] {
		t.Error("the files of the store were changed by a start that was refused")
	}

	rekey := execute(w.daemon.Command("rekey", "--store", "sqlite:"+w.daemon.Database, "--encryption-key", key, "--new-key", other))
	if rekey.Err != nil {
		t.Fatalf("%v\n%s", rekey.Err, rekey.Stderr)
	}
	w.mustRefuse(t, "the database is encrypted with another key than the configured one", "--encryption-key", key)
	start("--encryption-key", other)
	if again := w.mustRun(t, "klist"); again != listed {
		t.Errorf("with a new key klist says\n%s\nand said before\n%s", again, listed)
	}
	w.mustRun(t, "kvno", w.service)
	if n, err := w.kdc.TicketsIssued(w.service); n != 1 || err != nil {
		t.Errorf("the KDC issued %d tickets, %v; want 1", n, err)
	}
	absent(t, w.daemon, secrets)
	for _, file := range []string{key, other} {
		digits, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(w.daemon.Log(), strings.TrimSpace(string(digits))) {
			t.Error("a key is in the log")
		}
	}
}

// TestUnsealed stores tickets without a key: they are in the files of the store, until
// they are destroyed or encrypted.
func TestUnsealed(t *testing.T) {
	w := newStoppedWorld(t, "unsealed")
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	w.mustRun(t, "kinit", "alice")
	w.mustRun(t, "kvno", w.service)
	secrets := secretsOf(t, w.daemon.Socket)
	if found := present(t, w.daemon, secrets); found != len(secrets) {
		t.Fatalf("%d of %d secrets are where this test looks for them", found, len(secrets))
	}
	w.mustRun(t, "kdestroy")
	begin := time.Now()
	for present(t, w.daemon, secrets) > 0 {
		// By kcmd(8) half a second, or five under load.
		if time.Since(begin) > time.Minute {
			t.Fatal("what was destroyed is still in the files")
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Logf("gone %v after kdestroy", time.Since(begin).Round(time.Millisecond))

	w.mustRun(t, "kinit", "alice")
	listed := w.mustRun(t, "klist")
	secrets = secretsOf(t, w.daemon.Socket)
	if err := w.daemon.Stop(); err != nil {
		t.Fatal(err)
	}
	key := newKeyFile(t, w.lab, "key")
	w.mustRefuse(t, "a key is configured but the database is not encrypted; encrypt it with kcmd rekey --new-key "+key, "--encryption-key", key)
	rekey := execute(w.daemon.Command("rekey", "--store", "sqlite:"+w.daemon.Database, "--encryption-key", key, "--new-key", key))
	if rekey.Err != nil {
		t.Fatalf("%v\n%s", rekey.Err, rekey.Stderr)
	}
	if err := w.daemon.Start("--encryption-key", key); err != nil {
		t.Fatal(err)
	}
	absent(t, w.daemon, secrets)
	if again := w.mustRun(t, "klist"); again != listed {
		t.Errorf("with a key klist says\n%s\nand said before\n%s", again, listed)
	}
}

// newKeyFile makes a key in a file.
func newKeyFile(t *testing.T, l *lab.Lab, name string) string {
	t.Helper()
	key := make([]byte, 32)
	rand.Read(key)
	path := l.Path(name)
	if err := os.WriteFile(path, []byte(hex.EncodeToString(key)+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustRun runs a client, which must succeed, and returns what it printed.
func (w *world) mustRun(t *testing.T, words ...string) string {
	t.Helper()
	out := w.client("", w.env(), words)
	if out.Err != nil {
		t.Fatalf("%s: %v\n%s", words[0], out.Err, out.Stderr)
	}
	return out.Stdout
}

// mustRefuse starts the daemon, which must end with that error.
func (w *world) mustRefuse(t *testing.T, why string, args ...string) {
	t.Helper()
	err := w.daemon.Start(args...)
	if err == nil {
		t.Fatalf("started, want %q", why)
	}
	if !strings.Contains(err.Error(), why) {
		t.Errorf("%v, want %q", err, why)
	}
}

// secretsOf returns the session keys and tickets of our default cache.
func secretsOf(t *testing.T, socket string) (secrets [][]byte) {
	t.Helper()
	c, err := dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	code, reply, err := c.call(opGetCredList, name(fmt.Sprint(os.Getuid())))
	if code != 0 || err != nil {
		t.Fatalf("code %d, %v", code, err)
	}
	list, err := credentials(reply)
	if err != nil {
		t.Fatal(err)
	}
	for _, stored := range list {
		cred, err := ccache.ParseCredential([]byte(stored))
		if err != nil {
			t.Fatal(err)
		}
		if !cred.IsConfig() {
			secrets = append(secrets, cred.Key.Value, cred.Ticket)
		}
	}
	return secrets
}

// storeFiles returns the contents of the store's files by their names.
func storeFiles(t *testing.T, d *lab.Daemon) map[string]string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(filepath.Dir(d.Database), "*"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("files of the store: %v, %v", paths, err)
	}
	files := make(map[string]string)
	for _, path := range paths {
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		files[filepath.Base(path)] = string(b)
	}
	return files
}

// present counts the secrets of which the files of the store have a piece: a page may
// end in the middle of one.
func present(t *testing.T, d *lab.Daemon, secrets [][]byte) int {
	t.Helper()
	files := storeFiles(t, d)
	found := 0
	for _, secret := range secrets {
		for _, text := range files {
			half := len(secret) / 2
			if strings.Contains(text, string(secret[:half])) || strings.Contains(text, string(secret[half:])) {
				found++
				break
			}
		}
	}
	return found
}

func absent(t *testing.T, d *lab.Daemon, secrets [][]byte) {
	t.Helper()
	if n := present(t, d, secrets); n > 0 {
		t.Errorf("%d of %d secrets are in the store's files", n, len(secrets))
	}
}
