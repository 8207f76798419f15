package notify

import (
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/tests/lab"
)

func TestMain(m *testing.M) { os.Exit(lab.Main(func(*lab.Lab) {}, m.Run)) }

const testPatience = 10 * time.Second

// A daemon is a notification daemon, which tells what it is asked for, line by line.
type daemon struct {
	conn  *godbus.Conn
	can   []string
	ids   atomic.Uint32 // the last one
	heard chan string

	dismissed atomic.Bool // the user closes what is about to be replaced
}

// GetCapabilities is the method of the specification.
func (d *daemon) GetCapabilities() ([]string, *godbus.Error) { return d.can, nil }

// Notify is the method of the specification.
func (d *daemon) Notify(_ string, replaces uint32, _, title, body string, actions []string, hints map[string]godbus.Variant, _ int32) (uint32, *godbus.Error) {
	id := replaces
	if id == 0 {
		id = d.ids.Add(1)
	} else if d.dismissed.Load() {
		if err := d.conn.Emit(path, name+".NotificationClosed", id, uint32(2)); err != nil {
			return 0, godbus.MakeFailedError(err)
		}
	}
	d.heard <- fmt.Sprintf("%d %s|%s|%s|%v", id, title, body, strings.Join(actions, ","), hints["urgency"].Value())
	return id, nil
}

// CloseNotification is the method of the specification.
func (d *daemon) CloseNotification(id uint32) *godbus.Error {
	d.heard <- fmt.Sprintf("close %d", id)
	return nil
}

// A desktop is a private bus with a Notifier, and daemons that come and go.
type desktop struct {
	t     *testing.T
	bus   *lab.Bus
	n     *Notifier
	acted chan show.Action
	heard chan string
	stop  context.CancelFunc
	ended chan error
}

func newDesktop(t *testing.T) *desktop {
	t.Helper()
	if testing.Short() {
		t.Skip("-short: no bus is run")
	}
	lab.Need(t, "dbus-daemon")
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	d := &desktop{t: t, acted: make(chan show.Action, 10), heard: make(chan string, 100), ended: make(chan error, 1)}
	if d.bus, err = l.NewBus(lab.SessionBus, ""); err != nil {
		t.Fatal(err)
	}
	conn, err := godbus.Connect(d.bus.Address, godbus.WithSignalHandler(godbus.NewSequentialSignalHandler()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	d.n = New(conn, func(a show.Action) { d.acted <- a })
	ctx, stop := context.WithCancel(t.Context())
	d.stop = stop
	go func() { d.ended <- d.n.Run(ctx) }()
	t.Cleanup(stop)
	return d
}

func (d *desktop) connect() *godbus.Conn {
	d.t.Helper()
	conn, err := godbus.Connect(d.bus.Address)
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { conn.Close() })
	return conn
}

// daemon starts one, with capabilities.
func (d *desktop) daemon(can ...string) *daemon {
	d.t.Helper()
	p := &daemon{conn: d.connect(), can: can, heard: d.heard}
	if err := p.conn.Export(p, path, name); err != nil {
		d.t.Fatal(err)
	}
	if reply, err := p.conn.RequestName(name, godbus.NameFlagDoNotQueue); err != nil || reply != godbus.RequestNameReplyPrimaryOwner {
		d.t.Fatal(reply, err)
	}
	return p
}

// hears waits for the next thing that a daemon is asked for.
func (d *desktop) hears(want string) {
	d.t.Helper()
	select {
	case got := <-d.heard:
		if got != want {
			d.t.Errorf("the daemon hears %q, want %q", got, want)
		}
	case <-time.After(testPatience):
		d.t.Fatalf("the daemon does not hear %q", want)
	}
}

func (d *desktop) acts(want show.Action) {
	d.t.Helper()
	select {
	case got := <-d.acted:
		if got != want {
			d.t.Errorf("the action is %+v, want %+v", got, want)
		}
	case <-time.After(testPatience):
		d.t.Fatalf("there is no action, want %+v", want)
	}
}

func (p *daemon) emit(t *testing.T, member string, values ...any) {
	t.Helper()
	if err := p.conn.Emit(path, name+"."+member, values...); err != nil {
		t.Fatal(err)
	}
}

var (
	renew  = show.Action{Verb: show.Renew, Cache: "/a", Principal: "alice"}
	signIn = show.Action{Verb: show.SignIn, Cache: "/a", Principal: "alice"}
	soon   = show.Notice{Key: "a", Stage: "15m", Title: "Soon", Body: "of <alice>", Actions: []show.Action{renew, signIn}}
	late   = show.Notice{Key: "a", Stage: "ended", Title: "Ended", Body: "of <alice>", Urgent: true, Actions: []show.Action{signIn}}
	other  = show.Notice{Key: "b", Stage: "15m", Title: "Other", Actions: []show.Action{signIn}}
)

// TestLife: each stage is shown once and in the place of the one before, buttons act,
// and what is settled is withdrawn.
func TestLife(t *testing.T) {
	d := newDesktop(t)
	p := d.daemon("actions", "body", "body-markup")
	d.n.Show([]show.Notice{soon})
	d.hears("1 Soon|of &lt;alice&gt;|default,Renew,0,Renew,1,Sign in|1")
	d.n.Show([]show.Notice{soon}) // no repeat
	d.n.Show([]show.Notice{soon, other})
	d.hears("2 Other||default,Sign in,0,Sign in|1")
	p.emit(t, "ActionInvoked", uint32(1), "1")
	d.acts(signIn)
	p.emit(t, "ActionInvoked", uint32(1), "default")
	d.acts(renew)
	for _, key := range []string{"2", "-1", "x"} { // of buttons that there are not
		p.emit(t, "ActionInvoked", uint32(1), key)
	}
	p.emit(t, "ActionInvoked", uint32(7), "0") // of another program
	d.n.Show([]show.Notice{late, other})
	d.hears("1 Ended|of &lt;alice&gt;|default,Sign in,0,Sign in|2")
	p.emit(t, "ActionInvoked", uint32(1), "0")
	d.acts(signIn)
	d.n.Show([]show.Notice{other})
	d.hears("close 1")
	d.stop()
	d.hears("close 2")
	if err := <-d.ended; err != nil {
		t.Errorf("Run returned %v", err)
	}
}

// TestClosed: what the user has closed is not shown again, but its next stage is.
func TestClosed(t *testing.T) {
	d := newDesktop(t)
	p := d.daemon()
	d.n.Show([]show.Notice{soon, other})
	d.hears("1 Soon|of <alice>||1")
	d.hears("2 Other|||1") // so that the answer of 1 has come, before which nobody closes it
	p.emit(t, "NotificationClosed", uint32(1), uint32(2))
	p.emit(t, "ActionInvoked", uint32(1), "0") // comes after it, and is of nothing now
	p.emit(t, "ActionInvoked", uint32(2), "0")
	d.acts(signIn)
	d.n.Show([]show.Notice{soon, other})
	d.n.Show([]show.Notice{late, other})
	d.hears("3 Ended|of <alice>||2")
	d.n.Show(nil)
	closed := []string{<-d.heard, <-d.heard}
	slices.Sort(closed)
	if !slices.Equal(closed, []string{"close 2", "close 3"}) {
		t.Errorf("withdrawn are %q", closed)
	}
}

// TestDaemons: a notice waits for a daemon that comes later, and the next daemon is asked
// for what it can. What a user has seen is not shown again.
func TestDaemons(t *testing.T) {
	d := newDesktop(t)
	d.stop()
	<-d.ended
	d.n.update([]show.Notice{soon})
	p := d.daemon("body")
	d.owner("", ":1.7")
	d.hears("1 Soon|of <alice>||1")
	if _, err := p.conn.ReleaseName(name); err != nil {
		t.Fatal(err)
	}
	d.owner(":1.7", "")
	p = d.daemon("actions")
	p.ids.Store(10)
	d.owner("", ":1.8")
	d.n.update([]show.Notice{soon, other})
	d.hears("11 Other||default,Sign in,0,Sign in|1")
	d.n.update([]show.Notice{late, other})
	d.hears("12 Ended|of <alice>|default,Sign in,0,Sign in|2") // not in the place of 1, which is another daemon's
}

// TestStarted: the bus starts the daemon for a call, and the signal of its start is read
// after the answer.
func TestStarted(t *testing.T) {
	d := newDesktop(t)
	d.stop()
	<-d.ended
	d.daemon()
	d.n.update([]show.Notice{soon})
	d.hears("1 Soon|of <alice>||1")
	d.owner("", ":1.7")
	d.n.update(nil)
	d.hears("close 1")
}

// owner tells the Notifier, which does not run, of another daemon.
func (d *desktop) owner(before, after string) {
	d.n.signal(&godbus.Signal{Name: "org.freedesktop.DBus.NameOwnerChanged", Body: []any{name, before, after}})
}

// TestClosedMeanwhile: the user closes a notification at the moment that its next stage
// replaces it. The daemon says so before it answers, with the same id.
func TestClosedMeanwhile(t *testing.T) {
	d := newDesktop(t)
	p := d.daemon()
	d.n.Show([]show.Notice{soon})
	d.hears("1 Soon|of <alice>||1")
	p.dismissed.Store(true)
	d.n.Show([]show.Notice{late})
	d.hears("1 Ended|of <alice>||2")
	p.emit(t, "ActionInvoked", uint32(1), "0")
	d.acts(signIn)
	d.n.Show(nil)
	d.hears("close 1")
}
