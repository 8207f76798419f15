package system

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/cmd/kcmctl/transfer"
	"kcmd.org/kcmd/tests/lab"
)

// uidOfKeys has keys in the kernel during TestKeyrings only.
const uidOfKeys = 1977

// Collections in the kernel's keyrings come to kcmd, and go back, with all that klist
// shows. Those of sessions are in that of this test program (see lab.Start).
func TestKeyrings(t *testing.T) {
	w := newStartedWorld(t, "keyrings")
	session := filepath.Base(w.lab.Dir)
	if o := w.tell("KEYRING:session:"+session, "kinit", "alice"); o.Err != nil {
		t.Skipf("no KEYRING: caches here: %v: %s", o.Err, strings.TrimSpace(o.Stderr))
	}
	for _, name := range []string{"KEYRING:session:" + session, "KEYRING:" + session + "-old"} {
		keyringRoundTrip(t, w, name)
	}
	if os.Getuid() != 0 {
		return // the keyrings of the user are for the user
	}
	t.Cleanup(func() { clearKeyrings(t) })
	as := []string{"as", fmt.Sprint(uidOfKeys)}
	for _, name := range []string{"KEYRING:user:work", fmt.Sprintf("KEYRING:persistent:%d", uidOfKeys)} {
		keyringRoundTrip(t, w, name, as...)
	}
	name := fmt.Sprintf("KEYRING:persistent:%d", uidOfKeys)
	if o := w.tell(name, append(as, "kinit", "carol")...); o.Err != nil {
		t.Fatal(o)
	}
	// Only a dry run: it looks in /tmp, too.
	o := w.tell("KCM:", "kcmctl", "import", "--all-users", "--dry-run")
	want := fmt.Sprintf(`(?m)^%s:.* of carol@KCMD.TEST: would be copied to KCM:%d\b.*, the default cache$`, name, uidOfKeys)
	if !regexp.MustCompile(want).MatchString(o.Stdout) {
		t.Errorf("no %s in\n%s%s", want, o.Stdout, o.Stderr)
	}
	if o := w.tell("KCM:", "kcmctl", "import", name); o.Err == nil || !strings.Contains(o.Stderr, "belongs to uid 1977, not to uid 0") {
		t.Errorf("root takes the keyring of a user: %v\n%s%s", o.Err, o.Stdout, o.Stderr)
	}
}

// clearKeyrings clears what kdestroy leaves: the keyrings of the collections.
func clearKeyrings(t *testing.T) {
	err := transfer.As(uidOfKeys, func() error {
		persistent, err := unix.KeyctlInt(unix.KEYCTL_GET_PERSISTENT, uidOfKeys, unix.KEY_SPEC_PROCESS_KEYRING, 0, 0)
		if err != nil {
			return err
		}
		_, err1 := unix.KeyctlInt(unix.KEYCTL_CLEAR, persistent, 0, 0, 0)
		_, err2 := unix.KeyctlInt(unix.KEYCTL_CLEAR, unix.KEY_SPEC_USER_KEYRING, 0, 0, 0)
		return errors.Join(err1, err2)
	})
	if err != nil {
		t.Error(err)
	}
}

// keyringRoundTrip has kinit fill a collection with two caches, as the user that the
// words before a command say. It moves them to kcmd and back.
func keyringRoundTrip(t *testing.T, w *world, name string, as ...string) {
	run := func(cache string, words ...string) string {
		t.Helper()
		o := w.tell(cache, slices.Concat(as, words)...)
		if o.Err != nil {
			t.Fatalf("%s, %v: %v\n%s%s", name, words, o.Err, o.Stdout, o.Stderr)
		}
		return o.Stdout
	}
	listed := func(cache string) string {
		t.Helper()
		return sortedBlocks(run(cache, "klist", "-C", "-e", "-f", "-a", "-A"))
	}
	defer run(name, "kdestroy", "-A")
	run(name, "kinit", "-f", "-r", "2d", "alice")
	run(name, "kvno", w.service)
	run(name, "kinit", "bob") // a second cache, the primary one
	before := listed(name)
	if out := run(name, "kcmctl", "import", "--dry-run", name); strings.Count(out, "would be copied to KCM:") != 2 {
		t.Errorf("%s, dry run:\n%s", name, out)
	}
	out := run(name, "kcmctl", "import", "--move", name)
	if strings.Count(out, "copied to KCM:") != 2 || strings.Count(out, "removed here") != 2 {
		t.Errorf("%s is imported so:\n%s", name, out)
	}
	if left := w.tell(name, slices.Concat(as, []string{"klist", "-l"})...); strings.Contains(left.Stdout, "KCMD.TEST") {
		t.Errorf("%s still has\n%s", name, left.Stdout)
	}
	if got := listed("KCM:"); got != before {
		t.Errorf("%s had\n%s\nKCM: has\n%s", name, before, got)
	}
	if got := run("KCM:", "klist"); !strings.Contains(got, "Default principal: bob@") {
		t.Errorf("%s: the default cache is\n%s", name, got)
	}
	run("KCM:", "kcmctl", "export", "--move", name)
	if got := listed(name); got != before {
		t.Errorf("%s had\n%s\nand has\n%s", name, before, got)
	}
	if got := run(name, "klist"); !strings.Contains(got, "Default principal: bob@") {
		t.Errorf("%s: the primary cache is\n%s", name, got)
	}
	if again := run(name, "kvno", w.service); !strings.Contains(again, w.service) {
		t.Errorf("kvno prints\n%s", again)
	}
}

// sortedBlocks returns a listing without the names of its caches, sorted: the kernel keeps
// no order, of caches or tickets.
func sortedBlocks(listing string) string {
	listing = regexp.MustCompile(`(?m)^Ticket cache: .*\n`).ReplaceAllString(listing, "")
	blocks := strings.Split(strings.ReplaceAll(strings.TrimSpace(listing), "\n\t", "\t"), "\n\nDefault")
	for i, b := range blocks {
		lines := strings.Split(b, "\n")
		slices.Sort(lines)
		blocks[i] = strings.Join(lines, "\n")
	}
	slices.Sort(blocks)
	return strings.Join(blocks, "\n\n")
}

// TestKeyringStore runs kcmd with the store "keyring:", whose caches are those of
// KEYRING:persistent:UID, with the quota that the kernel gives a user.
func TestKeyringStore(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("it needs a user of its own, whose keyrings it fills; run it as root")
	}
	lab.Need(t, "setpriv")
	w := newStoppedWorld(t, "keyring-store")
	t.Cleanup(func() { clearKeyrings(t) })
	dir := w.lab.Path("own")
	if err := errors.Join(os.Mkdir(dir, 0o700), os.Chown(dir, uidOfKeys, uidOfKeys)); err != nil {
		t.Fatal(err)
	}
	w.daemon.Socket = filepath.Join(dir, "kcm.sock")
	if err := w.useKDC(w.kdc); err != nil {
		t.Fatal(err)
	}
	w.daemon.Through = []string{"setpriv", fmt.Sprintf("--reuid=%d", uidOfKeys), "--clear-groups", "--pdeathsig=KILL"}
	if err := w.daemon.Start("--session", "--store", "keyring:"); err != nil {
		t.Skipf("no keyrings here: %v\n%s", err, w.daemon.Log())
	}
	persistent := fmt.Sprintf("KEYRING:persistent:%d", uidOfKeys)
	try := func(cache string, words ...string) outcome {
		return w.tell(cache, append([]string{"as", fmt.Sprint(uidOfKeys)}, words...)...)
	}
	run := func(cache string, words ...string) string {
		t.Helper()
		o := try(cache, words...)
		if o.Err != nil {
			t.Fatalf("%s, %v: %v\n%s%s\n%s", cache, words, o.Err, o.Stdout, o.Stderr, w.daemon.Log())
		}
		return o.Stdout
	}
	same := func(caches int) {
		t.Helper()
		list := []string{"klist", "-C", "-e", "-f", "-a", "-A"}
		kcm, keyring := sortedBlocks(run("KCM:", list...)), sortedBlocks(run(persistent, list...))
		if kcm != keyring || strings.Count(kcm, " principal: ") != caches {
			t.Errorf("KCM: has\n%s\n%s has\n%s", kcm, persistent, keyring)
		}
	}
	run("KCM:", "kinit", "alice")
	run("KCM:", "kvno", w.service)
	same(1)
	run(persistent, "kinit", "bob")
	run(persistent, "kvno", w.service)
	same(2)
	if out := run("KCM:", "klist"); !strings.Contains(out, "Default principal: bob@") {
		t.Errorf("the default cache is\n%s", out)
	}
	run("KCM:", "kinit", "alice") // into the cache that it has
	same(2)

	// The quota is that of the kernel for the user.
	var o outcome
	for i := 0; o.Err == nil && i < 100; i++ {
		o = try("KCM:", "kinit", "-c", fmt.Sprintf("KCM:%d:%d", uidOfKeys, i), "carol")
	}
	if !strings.Contains(o.Stderr, "Disk quota exceeded") || !strings.Contains(w.daemon.Log(), "kernel.keys.maxkeys") {
		t.Errorf("at the quota: %v\n%s\n%s", o.Err, o.Stderr, w.daemon.Log())
	}
	caches := strings.Count(run("KCM:", "klist", "-l"), "@KCMD.TEST")
	t.Logf("the quota of a user has room for %d caches", caches)
	same(caches)
	for _, words := range [][]string{{"kdestroy", "-A"}, {"kinit", "alice"}} {
		run("KCM:", words...)
	}
	same(1)
}
