package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/tests/lab"
)

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// A desktop is a session bus with a tray host, a notification daemon, a dialog, kcmd,
// a KDC and the agent.
type desktop struct {
	t      *testing.T
	lab    *lab.Lab
	daemon *lab.Daemon
	realm  *lab.Realm
	env    []string
	conn   *godbus.Conn
	agent  *exec.Cmd
	log    *strings.Builder

	mu       sync.Mutex
	item     godbus.Sender     // of the agent
	shown    map[uint32]string // notifications: title, body, labels
	ids      uint32
	notified int // how often
	layouts  int // changes of the structure of the menu
	changes  int // changes of lines
}

// newDesktop starts all but kcmd, with settings, and more variables for the agent.
func newDesktop(t *testing.T, config string, env ...string) *desktop {
	t.Helper()
	lab.NeedKerberos(t)
	lab.Need(t, "dbus-daemon")
	d := &desktop{t: t, shown: make(map[uint32]string), log: new(strings.Builder)}
	d.lab, d.daemon = lab.NewForTest(t, kcmd, lab.EndOfTest)
	var err error
	d.realm, err = d.lab.NewRealm()
	d.check(err)
	d.check(d.realm.WriteConfig(d.lab.Path("krb5.conf"), d.realm.KDC.Port, d.daemon.Socket))
	d.daemon.Bus, err = d.lab.NewBus(lab.SessionBus, "")
	d.check(err)
	d.host()
	d.dialog()
	d.check(os.WriteFile(d.lab.Path("agent.conf"), []byte(config), 0o600))
	d.env = append(d.daemon.ClientEnv(d.lab.Path("krb5.conf")), "HOME="+d.lab.Dir, "XDG_STATE_HOME="+d.lab.Path("state-home"),
		"PATH="+d.lab.Path("bin")+":"+os.Getenv("PATH"), "DBUS_SYSTEM_BUS_ADDRESS=unix:path="+d.lab.Path("no-bus"))
	d.env = append(d.env, env...)
	d.agent = d.start()
	t.Cleanup(func() { d.stop() })
	return d
}

// start starts an agent.
func (d *desktop) start(args ...string) *exec.Cmd {
	d.t.Helper()
	program, err := agentProgram()
	d.check(err)
	agent := exec.Command(program, append([]string{"--config", d.lab.Path("agent.conf")}, args...)...)
	agent.Env, agent.Stderr = d.env, d.log
	d.check(lab.Start(agent))
	return agent
}

// stop ends the agent.
func (d *desktop) stop() {
	d.t.Helper()
	d.check(d.agent.Process.Signal(os.Interrupt))
	if err := d.agent.Wait(); err != nil || d.log.Len() > 0 {
		d.t.Errorf("the agent ends with %v and says %q", err, d.log.String())
	}
}

func (d *desktop) check(err error) {
	d.t.Helper()
	if err != nil {
		d.t.Fatal(err)
	}
}

// dialog makes a zenity that answers with the next line of a file, and keeps its
// arguments.
func (d *desktop) dialog() {
	d.check(os.MkdirAll(d.lab.Path("bin"), 0o755))
	script := fmt.Sprintf(`#!/bin/sh
cd '%s'
printf '%%s\n' "$*" >>asked
[ -s answers ] || exit 1
head -n 1 answers
sed -i 1d answers
`, d.lab.Dir)
	d.check(os.WriteFile(d.lab.Path("bin", "zenity"), []byte(script), 0o755))
}

func (d *desktop) answers(lines ...string) {
	d.check(os.WriteFile(d.lab.Path("answers"), []byte(strings.Join(lines, "\n")+"\n"), 0o600))
}

// host exports a tray host and a notification daemon.
func (d *desktop) host() {
	conn, err := godbus.Connect(d.daemon.Bus.Address)
	d.check(err)
	d.t.Cleanup(func() { conn.Close() })
	d.conn = conn
	d.check(conn.Export(watcher{d}, "/StatusNotifierWatcher", "org.kde.StatusNotifierWatcher"))
	d.check(conn.Export(notifications{d}, "/org/freedesktop/Notifications", "org.freedesktop.Notifications"))
	d.check(conn.AddMatchSignal(godbus.WithMatchInterface("com.canonical.dbusmenu")))
	signals := make(chan *godbus.Signal, 1000)
	conn.Signal(signals)
	go func() {
		for s := range signals {
			d.mu.Lock()
			switch s.Name {
			case "com.canonical.dbusmenu.LayoutUpdated":
				d.layouts++
			case "com.canonical.dbusmenu.ItemsPropertiesUpdated":
				d.changes++
			}
			d.mu.Unlock()
		}
	}()
	for _, name := range []string{"org.kde.StatusNotifierWatcher", "org.freedesktop.Notifications"} {
		_, err := conn.RequestName(name, godbus.NameFlagDoNotQueue)
		d.check(err)
	}
}

type watcher struct{ d *desktop }

func (w watcher) RegisterStatusNotifierItem(sender godbus.Sender, _ string) *godbus.Error {
	w.d.mu.Lock()
	defer w.d.mu.Unlock()
	w.d.item = sender
	return nil
}

type notifications struct{ d *desktop }

func (notifications) GetCapabilities() ([]string, *godbus.Error) {
	return []string{"actions", "body"}, nil
}

func (n notifications) Notify(_ string, replaces uint32, _, title, body string, actions []string, _ map[string]godbus.Variant, _ int32) (uint32, *godbus.Error) {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	id := replaces
	if id == 0 {
		n.d.ids++
		id = n.d.ids
	}
	n.d.notified++
	n.d.shown[id] = title + " | " + body + " | " + strings.Join(actions, ",")
	return id, nil
}

func (n notifications) CloseNotification(id uint32) *godbus.Error {
	n.d.mu.Lock()
	defer n.d.mu.Unlock()
	delete(n.d.shown, id)
	return nil
}

// text returns the label of the menu's first line and all that is shown, and what the
// icon is.
func (d *desktop) text() string {
	var b strings.Builder
	d.mu.Lock()
	for id, text := range d.shown {
		fmt.Fprintf(&b, "notification %d: %s\n", id, text)
	}
	d.mu.Unlock()
	if d.icon() == "" {
		return b.String()
	}
	if v, err := d.conn.Object(d.icon(), "/StatusNotifierItem").GetProperty("org.kde.StatusNotifierItem.IconName"); err == nil {
		fmt.Fprintf(&b, "icon: %s\n", v.Value())
	}
	for _, l := range d.lines() {
		fmt.Fprintf(&b, "line %d: %s\n", l.ID, l.Values["label"].Value())
	}
	return b.String()
}

// icon is the name of the agent on the bus once it has registered an icon, "" before.
func (d *desktop) icon() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return string(d.item)
}

type menuLine struct {
	ID     int32
	Values map[string]godbus.Variant
}

func (d *desktop) lines() (lines []menuLine) {
	_ = d.conn.Object(d.icon(), "/StatusNotifierItem/menu").Call("com.canonical.dbusmenu.GetGroupProperties", 0, []int32{}, []string{"label"}).Store(&lines)
	return lines
}

// await waits until the desktop shows what matches, and returns it.
func (d *desktop) await(what, pattern string) []string {
	d.t.Helper()
	re := regexp.MustCompile(pattern)
	deadline := time.Now().Add(patience)
	for {
		text := d.text()
		if m := re.FindStringSubmatch(text); m != nil {
			return m
		}
		if time.Now().After(deadline) {
			d.t.Fatalf("%s: nothing matches %s in\n%s%s", what, pattern, text, d.log.String())
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// click clicks the line of the menu with a label.
func (d *desktop) click(label string) {
	d.t.Helper()
	id, _ := strconv.Atoi(d.await("the line "+label, `(?m)^line (\d+): `+regexp.QuoteMeta(label)+`$`)[1])
	d.event(int32(id), "clicked")
}

func (d *desktop) event(id int32, name string) {
	d.t.Helper()
	d.check(d.conn.Object(d.icon(), "/StatusNotifierItem/menu").Call("com.canonical.dbusmenu.Event", 0, id, name, godbus.MakeVariant(int32(0)), uint32(0)).Err)
}

// press presses a button of the notification with a title.
func (d *desktop) press(title, label string) {
	d.t.Helper()
	m := d.await("the button "+label, `(?m)^notification (\d+): `+title+`.*(\d+),`+label+`(,|$)`)
	id, _ := strconv.Atoi(m[1])
	d.check(d.conn.Emit("/org/freedesktop/Notifications", "org.freedesktop.Notifications.ActionInvoked", uint32(id), m[2]))
}

func (d *desktop) run(password string, args ...string) {
	d.t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env, cmd.Stdin = d.env, strings.NewReader(password+"\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		d.t.Fatalf("%v: %v\n%s", args, err, out)
	}
}

// TestDesktop goes through the life of a ticket.
func TestDesktop(t *testing.T) {
	d := newDesktop(t, "warn = 15m 5m\n")
	d.await("no daemon", `icon: kcm-agent-away-symbolic`)
	d.check(d.daemon.Start("--renew", "no"))
	d.await("no tickets", `icon: kcm-agent-none-symbolic`)

	d.answers("alice", "wrong", lab.Password("alice"))
	d.click("Sign in…")
	d.await("a ticket", `icon: kcm-agent-quiet-symbolic\n(.*\n)*line \d+: ● alice@KCMD.TEST, \d+ h`)
	d.await("no notification", `\Aicon`)

	// An open menu is changed in place: a renewal changes texts only.
	d.event(0, "opened")
	d.mu.Lock()
	layouts := d.layouts
	d.mu.Unlock()
	d.run(lab.Password("alice"), "kinit", "-l", "3s", "alice")
	d.await("the end of the ticket", `notification \d+: Your ticket has expired \| That of alice@KCMD.TEST ended at .*,Sign in`)
	d.await("the icon", `icon: kcm-agent-expired-symbolic`)
	d.mu.Lock()
	if d.layouts != layouts || d.changes == 0 {
		t.Errorf("the structure of the open menu changed %d times, its lines %d times", d.layouts-layouts, d.changes)
	}
	d.mu.Unlock()
	d.event(0, "closed")

	d.answers(lab.Password("alice"))
	d.press("Your ticket has expired", "Sign in")
	d.await("the settled notification", `\Aicon: kcm-agent-quiet-symbolic`)

	// Quiet while the session is locked.
	d.check(d.conn.Emit("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver.ActiveChanged", true))
	d.run(lab.Password("carol"), "kinit", "-c", "KCM:"+strconv.Itoa(os.Getuid())+":carol", "-l", "2s", "carol")
	d.await("carol's end", `carol@KCMD.TEST, expired`)
	d.await("no notification", `\Aicon`)
	d.check(d.conn.Emit("/org/freedesktop/ScreenSaver", "org.freedesktop.ScreenSaver.ActiveChanged", false))
	d.await("the notification", `notification \d+: Your ticket has expired \| That of carol`)

	d.check(d.daemon.Stop())
	d.await("the daemon's end", `\Aicon: kcm-agent-away-symbolic`)
	d.check(d.daemon.Start("--renew", "no"))
	d.await("the daemon's return", `alice@KCMD.TEST, \d+ h`)

	asked, err := os.ReadFile(d.lab.Path("asked"))
	d.check(err)
	if strings.Contains(string(asked), lab.Password("alice")) || !strings.Contains(string(asked), "The password is wrong") {
		t.Errorf("the dialogs were %s", asked)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", d.agent.Process.Pid))
	d.check(err)
	rss := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindStringSubmatch(string(status))
	kB, _ := strconv.Atoi(rss[1])
	t.Logf("resident: %d kB", kB)
	if kB > 15<<10 && os.Getenv("LAB_RACE") != "1" {
		t.Errorf("the agent takes %d kB", kB)
	}
}

// awaitUnusable waits until libkrb5 takes the TGT for expired, a second later than kcmd.
func (d *desktop) awaitUnusable() {
	d.t.Helper()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		cmd := exec.Command("kvno", "-q", "krbtgt/"+lab.RealmName)
		cmd.Env = d.env
		if cmd.Run() != nil {
			return
		}
		if time.Now().After(deadline) {
			d.t.Fatal("the TGT does not expire")
		}
	}
}

// TestExpiredPassword signs in with an expired password, and changes it, by kcmd and by
// kpasswd. An expired ticket is there, with which kpasswd cannot protect its request.
func TestExpiredPassword(t *testing.T) {
	for _, acquire := range []string{"yes", "no"} {
		t.Run("acquire "+acquire, func(t *testing.T) {
			d := newDesktop(t, "")
			d.check(d.realm.StartPasswordServer())
			d.check(d.realm.WriteConfig(d.lab.Path("krb5.conf"), d.realm.KDC.Port, d.daemon.Socket))
			d.check(d.daemon.Start("--renew", "no", "--acquire", acquire))
			d.run(lab.Password("bob"), "kinit", "-l", "1s", "bob")
			d.await("an expired ticket", `icon: kcm-agent-expired-symbolic`)
			d.awaitUnusable()
			d.check(d.realm.Admin("modprinc -pwexpire yesterday bob"))
			d.answers(lab.Password("bob"), "another-secret", "another-secret")
			d.press("Your ticket has expired", "Sign in")
			d.await("a ticket", `● bob@KCMD.TEST, \d+ h`)
		})
	}
}

// TestSystemBusEnds ends the system bus, and starts it again. kcmd is on the session bus.
func TestSystemBusEnds(t *testing.T) {
	lab.Need(t, "dbus-daemon")
	system, _ := lab.NewForTest(t, kcmd, lab.EndOfTest)
	bus, err := system.NewBus(lab.SystemBus, "<busconfig/>")
	if err != nil {
		t.Fatal(err)
	}
	d := newDesktop(t, "", "DBUS_SYSTEM_BUS_ADDRESS="+bus.Address)
	d.check(d.daemon.Start("--renew", "no"))
	d.await("no tickets", `icon: kcm-agent-none-symbolic`)
	d.check(bus.Stop())
	d.run(lab.Password("alice"), "kinit", "alice")
	d.await("a ticket without a system bus", `icon: kcm-agent-quiet-symbolic`)
	d.check(bus.Start())
	d.run("", "kdestroy", "-A")
	d.await("the return of the bus", `icon: kcm-agent-none-symbolic`)
}

// TestSignInAtStart has the agent sign in when it starts, before it knows where kcmd is.
func TestSignInAtStart(t *testing.T) {
	d := newDesktop(t, "")
	d.check(d.daemon.Start("--renew", "no"))
	d.await("no tickets", `icon: kcm-agent-none-symbolic`)
	d.stop()
	d.answers("alice", lab.Password("alice"))
	d.agent = d.start("--sign-in")
	d.await("a ticket", `● alice@KCMD.TEST, \d+ h`)

	// Another one asks the first, and ends.
	d.answers("bob", lab.Password("bob"))
	if err := d.start("--sign-in").Wait(); err != nil {
		t.Error(err)
	}
	d.await("another ticket", `bob@KCMD.TEST, \d+ h`)
}

// TestSignInWithoutDaemon says that kcmd is not running when it has not come for a while.
func TestSignInWithoutDaemon(t *testing.T) {
	d := newDesktop(t, "")
	d.await("no daemon", `icon: kcm-agent-away-symbolic`)
	if err := d.start("--sign-in").Wait(); err != nil {
		t.Error(err)
	}
	d.await("a notification", `Cannot sign in \| kcmd is not running`)
}
