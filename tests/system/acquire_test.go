package system

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/dbus/client"
	"kcmd.org/kcmd/tests/lab"
)

// A desk is a world with kcmd on a session bus, and a client of it.
type desk struct {
	*world
	t   *testing.T
	bus *client.Client
	own client.ObjectPath
}

// newDesk starts kcmd with a room for its helpers and a keytab of the host.
func newDesk(t *testing.T, name string) *desk {
	t.Helper()
	lab.Need(t, append([]string{"kadmind", "kpasswd"}, lab.BusPrograms...)...)
	w := newStoppedWorld(t, name)
	var err error
	if w.daemon.Bus, err = w.lab.NewBus(lab.SessionBus, ""); err != nil {
		t.Fatal(err)
	}
	d := &desk{world: w, t: t}
	if err := os.Mkdir(d.rooms(), 0o700); err != nil {
		t.Fatal(err)
	}
	w.daemon.Through = []string{"env", "XDG_RUNTIME_DIR=" + d.rooms(), "KRB5_KTNAME=" + w.realm.Keytab}
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	if d.bus, err = client.Dial(t.Context(), w.daemon.Bus.Address); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.bus.Close() })
	if d.own, err = d.bus.GetCollection(t.Context(), client.Own); err != nil {
		t.Fatal(err)
	}
	return d
}

// rooms is where the helpers have their files.
func (d *desk) rooms() string { return d.lab.Path("rooms") }

// login gets tickets with a password, and returns the cache.
func (d *desk) login(user string, o client.AcquireOptions) client.ObjectPath {
	d.t.Helper()
	cache, err := d.bus.AcquireWithPassword(d.t.Context(), d.own, user, []byte(lab.Password(user)+"\n"), o)
	if err != nil {
		d.t.Fatal(err)
	}
	return cache
}

func (d *desk) properties(cache client.ObjectPath) *client.Cache {
	d.t.Helper()
	p, err := d.bus.GetCacheProperties(d.t.Context(), cache)
	if err != nil {
		d.t.Fatal(err)
	}
	return p
}

func (d *desk) admin(commands ...string) {
	d.t.Helper()
	if err := d.realm.Admin(commands...); err != nil {
		d.t.Fatal(err)
	}
}

func (d *desk) askKDC(kdc *lab.KDC, settings ...string) {
	d.t.Helper()
	if err := d.realm.WriteConfig(d.krb5conf, kdc.Port, d.daemon.Socket, settings...); err != nil {
		d.t.Fatal(err)
	}
}

// about reports whether a life is what was asked for: kinit asks for an end, and the KDC
// gives a ticket that begins some moments later.
func about(life, asked time.Duration) bool { return life <= asked && life > asked-patience }

// TestAcquire gets tickets through D-Bus, as a sign-in of a desktop does, with passwords
// and a keytab; a postdated one becomes valid.
func TestAcquire(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "acquire")
	yes := true
	alice := d.login("alice", client.AcquireOptions{Lifetime: time.Hour, RenewableFor: 2 * time.Hour, Forwardable: &yes})
	d.mustRun(t, "klist", "-s")
	p := d.properties(alice)
	if p.ClientPrincipal != "alice@"+lab.RealmName || p.State != "valid" || !p.IsDefault || p.Name != "KCM:"+ownName() ||
		!about(p.EndTime.Sub(p.StartTime), time.Hour) || !about(p.RenewUntil.Sub(p.StartTime), 2*time.Hour) || p.PreauthType == 0 || !p.PasswordExpires.IsZero() {
		t.Errorf("alice has %+v", p)
	}
	d.mustRun(t, "kvno", d.service)
	asked := func() int {
		t.Helper()
		n, err := d.kdc.Requests("AS_REQ")
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := asked()
	if again := d.login("alice", client.AcquireOptions{IfNeeded: true}); again != alice || asked() != before {
		t.Errorf("not needed: %s, %d requests to the KDC", again, asked()-before)
	}
	if again := d.login("alice", client.AcquireOptions{}); again != alice || d.properties(alice).TicketCount != 1 {
		t.Errorf("once more: %s with %d tickets", again, d.properties(alice).TicketCount)
	}
	bob := d.login("bob", client.AcquireOptions{})
	if p := d.properties(bob); p.IsDefault || bob == alice || p.ClientPrincipal != "bob@"+lab.RealmName {
		t.Errorf("bob has %+v", p)
	}
	named := d.login("bob", client.AcquireOptions{Cache: "KCM:" + ownName() + ":work"})
	if p := d.properties(named); p.Name != "KCM:"+ownName()+":work" {
		t.Errorf("a cache by name: %+v", p)
	}
	key, err := os.ReadFile(d.realm.Keytab)
	if err != nil {
		t.Fatal(err)
	}
	host, err := d.bus.AcquireWithKeytab(t.Context(), d.own, "", key, client.AcquireOptions{})
	if err != nil || d.properties(host).ClientPrincipal != lab.Service+"@"+lab.RealmName {
		t.Errorf("by a keytab: %v", err)
	}

	if out := runReadme(t, d.world, manExample(t, "passes a password so:")); !strings.Contains(out, string(alice)) {
		t.Errorf("the example of kcmd(8) prints %q, not %s", out, alice)
	}

	// KIM's states of a postdated ticket.
	later := d.login("carol", client.AcquireOptions{StartIn: 4 * time.Second})
	if p := d.properties(later); p.State != "not-yet-valid" {
		t.Errorf("a postdated ticket is %s", p.State)
	}
	if _, err := d.bus.Validate(t.Context(), later); !errors.Is(err, client.ErrNotYetValid) {
		t.Errorf("validated too early: %v", err)
	}
	waitFor(t, "the start of the ticket", func() bool { return d.properties(later).State == "invalid" })
	waitFor(t, "its validation", func() bool { // the KDC's second may begin later
		_, err := d.bus.Validate(t.Context(), later)
		return err == nil
	})
	if p := d.properties(later); p.State != "valid" {
		t.Errorf("a validated ticket is %s", p.State)
	}
}

// passwd has kcmctl change the password of carol, and wants what it prints.
func (d *desk) passwd(old, next, want string) {
	d.t.Helper()
	path, err := kcmctl()
	if err != nil {
		d.t.Fatal(err)
	}
	cmd := exec.Command(path, "--session", "passwd", "--password-fd", "0", "carol")
	cmd.Env = append(os.Environ(), "DBUS_SESSION_BUS_ADDRESS="+d.daemon.Bus.Address)
	cmd.Stdin = strings.NewReader(old + "\n" + next + "\n")
	out, _ := cmd.CombinedOutput()
	if !regexp.MustCompile("(?i)^" + want).Match(out) {
		d.t.Errorf("kcmctl passwd prints %q, want %q", out, want)
	}
}

// TestAcquireRefused has the KDC refuse for each of its reasons, each of which is an
// error of D-Bus, and changes a password that has expired.
func TestAcquireRefused(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "refused")
	if err := d.realm.StartPasswordServer(); err != nil {
		t.Fatal(err)
	}
	d.askKDC(d.kdc)
	refused := func(user, password string, want error) {
		t.Helper()
		_, err := d.bus.AcquireWithPassword(t.Context(), d.own, user, []byte(password), client.AcquireOptions{})
		if !errors.Is(err, want) || strings.Contains(err.Error(), password) {
			t.Errorf("%s: %v, want %v", user, err, want)
		}
	}
	refused("alice", "wrong-password", client.ErrPreauthFailed)
	refused("nobody", "wrong-password", client.ErrClientUnknown)
	d.admin("modprinc -allow_tix bob", "modprinc -pwexpire yesterday carol", "modprinc -pwexpire tomorrow alice")
	refused("bob", lab.Password("bob"), client.ErrClientRevoked)
	refused("carol", lab.Password("carol"), client.ErrPasswordOld)
	if p := d.properties(d.login("alice", client.AcquireOptions{})); time.Until(p.PasswordExpires) > 25*time.Hour || p.PasswordExpires.IsZero() {
		t.Errorf("the password expires at %v", p.PasswordExpires)
	}

	d.admin("addpol -minlength 12 long", "modprinc -policy long carol", "modprinc -pwexpire yesterday carol")
	change := func(old, next string, want error) {
		t.Helper()
		if err := d.bus.ChangePassword(t.Context(), d.own, "carol", []byte(old), []byte(next)); !errors.Is(err, want) {
			t.Errorf("a new password: %v, want %v", err, want)
		}
	}
	change("wrong-password", "another-password", client.ErrPreauthFailed)
	change(lab.Password("carol"), "short", client.ErrRejected)
	change(lab.Password("carol"), "another-password", nil)
	if _, err := d.bus.AcquireWithPassword(t.Context(), d.own, "carol", []byte("another-password"), client.AcquireOptions{}); err != nil {
		t.Error(err)
	}
	d.passwd("another-password", "short", "kcmctl: cannot change the password of carol: .*too short")
	d.passwd("another-password", "the-third-password", "The password of carol is changed")
	if _, err := d.bus.AcquireWithPassword(t.Context(), d.own, "carol", []byte("the-third-password"), client.AcquireOptions{}); err != nil {
		t.Error(err)
	}

	if lab.Faketime() != "" {
		late, err := d.realm.StartKDC(20 * time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		d.askKDC(late, "kdc_timesync = 0")
		refused("alice", lab.Password("alice"), client.ErrClockSkew)
	}
	d.askKDC(d.kdc)
	d.kdc.Stop()
	refused("alice", lab.Password("alice"), client.ErrKDCUnreachable)
}

// TestVerify verifies a ticket, and refuses one of a second KDC that answers in the
// place of the true one.
func TestVerify(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "verify")
	alice := d.login("alice", client.AcquireOptions{})
	if err := d.bus.Verify(t.Context(), alice, "", true); err != nil {
		t.Error(err)
	}
	if n := d.properties(alice).TicketCount; n != 1 {
		t.Errorf("%d tickets in the verified cache", n)
	}
	other, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(other.Close)
	liar, err := other.NewRealm()
	if err != nil {
		t.Fatal(err)
	}
	d.askKDC(liar.KDC)
	lie := d.login("alice", client.AcquireOptions{})
	d.mustRun(t, "klist", "-s")
	for _, require := range []bool{true, false} {
		if err := d.bus.Verify(t.Context(), lie, "", require); !errors.Is(err, client.ErrUnverified) {
			t.Errorf("a lie: %v", err)
		}
	}
	liar.KDC.Stop()
	if err := d.bus.Verify(t.Context(), lie, "", true); !errors.Is(err, client.ErrKDCUnreachable) {
		t.Errorf("without a KDC: %v", err)
	}
}

// silence listens at a port, as a KDC that never answers. It returns a channel that is
// closed by the first request.
func silence(t *testing.T) (port int, asked <-chan struct{}) {
	t.Helper()
	udp, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { udp.Close() })
	first := make(chan struct{})
	go func() {
		if _, _, err := udp.ReadFromUDP(make([]byte, 1)); err == nil {
			close(first)
		}
	}()
	return udp.LocalAddr().(*net.UDPAddr).Port, first
}

// TestPasswordIsNowhere looks for a password while kinit waits for the KDC, and after it
// was used: in arguments and variables of all processes, in all files of the daemon and
// its helpers, in its log, and in its memory.
func TestPasswordIsNowhere(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "nowhere")
	secret := []byte(fmt.Sprintf("correct-horse-%d-%d", os.Getpid(), time.Now().UnixNano()))
	d.admin("cpw -pw " + string(secret) + " alice")
	port, asked := silence(t)
	if err := d.realm.WriteConfig(d.krb5conf, port, d.daemon.Socket); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	leaves, err := client.Dial(t.Context(), d.daemon.Bus.Address)
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		_, err := leaves.AcquireWithPassword(ctx, d.own, "alice", secret, client.AcquireOptions{})
		ended <- err
	}()
	<-asked
	if seen := d.search(secret); seen != "" {
		t.Errorf("while kinit waits, the password is in %s", seen)
	}
	if _, err := leaves.GetCollectionProperties(t.Context(), d.own); err != nil {
		t.Errorf("a later call of the connection: %v", err)
	}
	cancel()
	leaves.Close()
	<-ended
	waitFor(t, "the end of kinit", func() bool {
		left, err := os.ReadDir(d.rooms())
		return err == nil && len(left) == 0
	})

	d.askKDC(d.kdc)
	if _, err := d.bus.AcquireWithPassword(t.Context(), d.own, "alice", secret, client.AcquireOptions{}); err != nil {
		t.Fatal(err)
	}
	_, err = d.bus.AcquireWithPassword(t.Context(), d.own, "bob", secret, client.AcquireOptions{})
	if !errors.Is(err, client.ErrPreauthFailed) {
		t.Error(err)
	}
	if seen := d.search(secret); seen != "" {
		t.Errorf("the password is in %s", seen)
	}
	if os.Geteuid() == 0 { // nobody else reads its memory
		if n := inMemory(t, d.daemon.PID(), secret); n > 0 {
			t.Errorf("the memory of kcmd has the password %d times", n)
		}
		if inMemory(t, d.daemon.PID(), []byte("alice@"+lab.RealmName)) == 0 {
			t.Error("the memory of kcmd was not searched")
		}
	}
	if limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.daemon.PID())); err != nil || !strings.Contains(string(limits), "Max core file size        0                    0") {
		t.Errorf("kcmd may dump core: %v\n%s", err, limits)
	}
}

// search returns where a secret is, as far as this user can see.
func (d *desk) search(secret []byte) (where string) {
	own := fmt.Sprintf("/proc/%d/", os.Getpid())
	var files []string
	for _, pattern := range []string{"/proc/[0-9]*/cmdline", "/proc/[0-9]*/environ"} {
		list, err := filepath.Glob(pattern)
		if err != nil {
			d.t.Fatal(err)
		}
		files = append(files, list...)
	}
	if len(files) < 4 {
		d.t.Fatal("/proc has no processes")
	}
	err := filepath.WalkDir(d.lab.Dir, func(path string, e os.DirEntry, err error) error {
		if err == nil && e.Type().IsRegular() && !strings.HasPrefix(path, d.lab.Path("realm")) {
			files = append(files, path)
		}
		return nil // a file may have gone
	})
	if err != nil {
		d.t.Fatal(err)
	}
	for _, path := range files {
		if b, err := os.ReadFile(path); err == nil && !strings.HasPrefix(path, own) && bytes.Contains(b, secret) {
			return path
		}
	}
	return ""
}

// inMemory returns how often a process has some bytes in its memory.
func inMemory(t *testing.T, pid int, want []byte) (n int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || !strings.HasPrefix(mode, "rw") {
			continue
		}
		const step = 1 << 20
		for ; from < to; from += step {
			b := make([]byte, min(step+int64(len(want)), to-from))
			if got, err := mem.ReadAt(b, from); err == nil || errors.Is(err, io.EOF) {
				n += bytes.Count(b[:got], want)
			}
		}
	}
	return n
}
