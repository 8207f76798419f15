package dbus

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/dbus/link"
)

const (
	polkitName  = "org.freedesktop.PolicyKit1"
	polkitPath  = "/org/freedesktop/PolicyKit1/Authority"
	polkitIface = polkitName + ".Authority"
)

// A polkitSubject is the caller that polkit is asked about.
type polkitSubject struct {
	Kind    string
	Details map[string]godbus.Variant
}

// A fakePolkit owns polkit's name on a bus and answers as it is told.
type fakePolkit struct {
	mu       sync.Mutex
	answer   link.Authorization
	asked    []string // "ACTION FLAGS of SENDER"
	canceled []string
	hold     chan struct{} // if not nil, answers wait for it
}

func startPolkit(t *testing.T, bus *testBus) *fakePolkit {
	t.Helper()
	p := new(fakePolkit)
	conn := bus.connect(t).conn
	if err := conn.Export(p, polkitPath, polkitIface); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RequestName(polkitName, 0); err != nil {
		t.Fatal(err)
	}
	return p
}

// CheckAuthorization is the method of that name.
func (p *fakePolkit) CheckAuthorization(subject polkitSubject, action string, _ map[string]string, flags uint32, _ string) (link.Authorization, *godbus.Error) {
	p.mu.Lock()
	hold, answer := p.hold, p.answer
	name, _ := subject.Details["name"].Value().(string)
	p.asked = append(p.asked, action+" "+string('0'+rune(flags))+" of "+subject.Kind+" "+name)
	p.mu.Unlock()
	if hold != nil {
		<-hold
	}
	if answer.Details == nil {
		answer.Details = map[string]string{}
	}
	return answer, nil
}

// CancelCheckAuthorization is the method of that name.
func (p *fakePolkit) CancelCheckAuthorization(id string) *godbus.Error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.canceled = append(p.canceled, id)
	return nil
}

// says sets the answer and forgets who asked.
func (p *fakePolkit) says(authorized, challenge bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.answer = link.Authorization{Authorized: authorized, Challenge: challenge}
	p.asked = nil
}

// holds has answers wait until the channel is closed.
func (p *fakePolkit) holds() chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hold = make(chan struct{})
	return p.hold
}

func (p *fakePolkit) questions() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Join(p.asked, ", ")
}

// setScopeInteractively calls SetScope and lets people be asked for a password.
func (c *tester) setScopeInteractively(scope string) *godbus.Call {
	return c.conn.Send(&godbus.Message{
		Type:  godbus.TypeMethodCall,
		Flags: godbus.FlagAllowInteractiveAuthorization,
		Headers: map[godbus.HeaderField]godbus.Variant{
			godbus.FieldDestination: godbus.MakeVariant(BusName),
			godbus.FieldPath:        godbus.MakeVariant(godbus.ObjectPath(rootPath)),
			godbus.FieldInterface:   godbus.MakeVariant("org.kcmd.KCM1.Manager"),
			godbus.FieldMember:      godbus.MakeVariant("SetScope"),
			godbus.FieldSignature:   godbus.MakeVariant(godbus.SignatureOf(scope)),
		},
		Body: []any{scope},
	}, make(chan *godbus.Call, 1))
}

// TestPolkit has an administrator who is not root look at and change what
// belongs to another.
func TestPolkit(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, aliceUID, "1", alice())
	kinit(t, store, bobUID, "2", alice())
	startService(t, store, Config{Address: bus.address})
	root, admin := bus.connect(t), bus.connectAs(t, bobUID)
	cache := pathOf(t, store, aliceUID, "1")

	// Without polkit only root.
	if name, _ := admin.fails(rootPath, "Manager.SetScope", "all"); name != errAccessDenied {
		t.Errorf("without polkit: %s", name)
	}
	root.setScope("all")

	polkit := startPolkit(t, bus)
	self := admin.conn.Names()[0]
	for _, step := range []struct {
		authorized, challenge, interactive bool

		want, asked string
	}{
		{false, false, false, errAccessDenied, actionInspectAll + " 0 of system-bus-name " + self},
		{false, true, false, errNotAuthorizedYet, actionInspectAll + " 0 of system-bus-name " + self},
		{false, true, true, errAccessDenied, actionInspectAll + " 1 of system-bus-name " + self},
		{true, false, true, "", actionInspectAll + " 1 of system-bus-name " + self},
		{true, false, false, "", actionInspectAll + " 0 of system-bus-name " + self},
	} {
		polkit.says(step.authorized, step.challenge)
		err := admin.call(rootPath, "Manager.SetScope", "all").Err
		if step.interactive {
			polkit.says(step.authorized, step.challenge)
			err = (<-admin.setScopeInteractively("all").Done).Err
		}
		var got godbus.Error
		errors.As(err, &got)
		if got.Name != step.want || polkit.questions() != step.asked {
			t.Errorf("%+v: %v after %q", step, err, polkit.questions())
		}
	}

	// Now everything is in view; to change it is another action.
	polkit.says(false, false)
	m := snapshot(admin)
	if got := len(m.objects); got != 4 {
		t.Errorf("%d objects in view, want 4", got)
	}
	if name, _ := admin.fails(cache, "Cache.Destroy"); name != errAccessDenied {
		t.Errorf("Destroy: %s", name)
	}
	if got, want := polkit.questions(), actionManageAll+" 0 of system-bus-name "+self; got != want {
		t.Errorf("asked %q, want %q", got, want)
	}
	polkit.says(true, false)
	if err := admin.call(cache, "Cache.Destroy").Err; err != nil {
		t.Error(err)
	}
	m.agrees()

	// Nobody is asked about what is one's own, and about root.
	polkit.says(false, false)
	admin.setScope("own")
	m.agrees()
	if err := admin.call(userPath+"/self", "Collection.DestroyAll").Err; err != nil {
		t.Error(err)
	}
	kinit(t, store, aliceUID, "1", alice())
	if err := root.call(pathOf(t, store, aliceUID, "1"), "Cache.Destroy").Err; err != nil {
		t.Error(err)
	}
	if got := polkit.questions(); got != "" {
		t.Errorf("asked %q", got)
	}
}

// TestPolkitWaits: while somebody looks for a password, others are served, only
// so many questions are asked, and a question is taken back if nobody waits.
func TestPolkitWaits(t *testing.T) {
	needRoot(t)
	bus := startBus(t, "system")
	store := newStore(t)
	startService(t, store, Config{Address: bus.address})
	polkit := startPolkit(t, bus)
	defer close(polkit.holds())
	one := bus.connectAs(t, aliceUID)
	same := bus.connectAs(t, aliceUID)
	one.setScopeInteractively("all")
	eventually(t, "polkit is asked", func() bool { return polkit.questions() != "" })
	for _, c := range []*tester{same, bus.connectAs(t, bobUID), bus.connect(t)} {
		must[objects](c, rootPath, managedObjects)
	}
	kinit(t, store, aliceUID, "1", alice())
	same.awaitSignal("InterfacesAdded")
	for range asking.Account - 1 {
		c := bus.connectAs(t, aliceUID)
		c.conn.Object(BusName, rootPath).Go("org.kcmd.KCM1.Manager.SetScope", 0, make(chan *godbus.Call, 1), "all")
	}
	eventually(t, "polkit is asked more", func() bool { return strings.Count(polkit.questions(), ",") == int(asking.Account)-1 })
	if name, _ := same.fails(rootPath, "Manager.SetScope", "all"); name != errLimitsExceeded {
		t.Errorf("one question more: %s", name)
	}
	one.conn.Close()
	eventually(t, "the question is taken back", func() bool {
		polkit.mu.Lock()
		defer polkit.mu.Unlock()
		return len(polkit.canceled) > 0
	})
}

// TestRealPolkit asks polkit itself, with the actions as they are installed and
// a rule that lets one user look.
func TestRealPolkit(t *testing.T) {
	needRoot(t)
	const polkitd = "/usr/lib/polkit-1/polkitd"
	if _, err := os.Stat(polkitd); err != nil {
		t.Skip("needs package polkitd: ", err)
	}
	bus := startBus(t, "system")
	store := newStore(t)
	kinit(t, store, bobUID, "2", alice())
	startService(t, store, Config{Address: bus.address})
	runPolkit(t, bus, polkitd)
	root, one, admin := bus.connect(t), bus.connectAs(t, bobUID), bus.connectAs(t, aliceUID)
	eventually(t, "polkit is on the bus", func() bool {
		return root.conn.BusObject().Call("org.freedesktop.DBus.GetNameOwner", 0, polkitName).Err == nil
	})
	if name, text := one.fails(rootPath, "Manager.SetScope", "all"); name != errNotAuthorizedYet {
		t.Errorf("a user: %s (%s)", name, text)
	}
	admin.setScope("all")
	cache := pathOf(t, store, bobUID, "2")
	if name, text := admin.fails(cache, "Cache.Destroy"); name != errNotAuthorizedYet {
		t.Errorf("an administrator who may only look: %s (%s)", name, text)
	}
	if got := must[objects](admin, rootPath, managedObjects); got[cache] == nil {
		t.Error("the administrator does not see what he may see")
	}

	// A service that is not root may ask about others, but nobody else may.
	ask := func(c *tester) error {
		subject := polkitSubject{"system-bus-name", variants(map[string]any{"name": admin.conn.Names()[0]})}
		return c.conn.Object(polkitName, polkitPath).Call(polkitIface+".CheckAuthorization", 0,
			subject, actionInspectAll, map[string]string{}, uint32(0), "").Err
	}
	if err := ask(one); err != nil {
		t.Errorf("the service's own user asks: %v", err)
	}
	if err := ask(bus.connectAs(t, 33)); err == nil {
		t.Error("everybody may ask")
	}
}

// runPolkit runs polkitd on a bus, with our actions and a rule for aliceUID in
// place of those of the machine.
func runPolkit(t *testing.T, bus *testBus, polkitd string) {
	t.Helper()
	actions, rules := t.TempDir(), t.TempDir()
	policy, err := os.ReadFile(filepath.Join("..", "data", "polkit", "org.kcmd.KCM1.policy"))
	if err != nil {
		t.Fatal(err)
	}
	// bobUID stands for the user that the service runs as.
	own := strings.ReplaceAll(string(policy), "unix-user:kcmd", "unix-user:bin")
	rule := `polkit.addRule(function(action, subject) {
    if (action.id == "org.kcmd.KCM1.inspect-all" && subject.user == "daemon") return polkit.Result.YES;
});`
	for file, text := range map[string]string{filepath.Join(actions, "org.kcmd.KCM1.policy"): own, filepath.Join(rules, "10.rules"): rule} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{actions, rules} {
		// polkitd gives up being root.
		for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
			if err := os.Chmod(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
	}
	const mount = `mount --bind "$1" /usr/share/polkit-1/actions && mount --bind "$2" /usr/share/polkit-1/rules.d`
	if out, err := exec.Command("unshare", "--mount", "sh", "-c", mount, "sh", actions, rules).CombinedOutput(); err != nil {
		t.Skipf("needs to mount: %v: %s", err, out)
	}
	cmd := exec.Command("unshare", "--mount", "sh", "-c", mount+` && exec "$3" --no-debug`, "sh", actions, rules, polkitd)
	// It ends with the bus, if nobody ends it before.
	cmd.Env = append(os.Environ(), "DBUS_SYSTEM_BUS_ADDRESS="+bus.address)
	cmd.Stderr = t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}
