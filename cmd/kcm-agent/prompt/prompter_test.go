package prompt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	godbus "github.com/godbus/dbus/v5"

	"kcmd.org/kcmd/cmd/kcm-agent/prompt/exchange/exchangetest"
	"kcmd.org/kcmd/secret"
	"kcmd.org/kcmd/tests/lab"
)

// A shell is a prompter that does what a test says.
type shell struct {
	t       *testing.T
	conn    *godbus.Conn
	address string

	begin  func(*shell) *godbus.Error        // what it does for BeginPrompting
	answer func(*shell, question)            // what it does with a question
	refuse func(question, int) *godbus.Error // what PerformPrompt returns, by its number

	mu      sync.Mutex
	peer    *exchangetest.Peer
	client  godbus.Sender
	calls   []string
	stopped chan struct{}
}

// A question is what PerformPrompt got.
type question struct {
	kind   string
	values map[string]any
}

// sessionBus starts one, which knows a service if it is not "".
func sessionBus(t *testing.T, service string) (address string) {
	t.Helper()
	lab.Need(t, "dbus-daemon")
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	if service != "" {
		if err := errors.Join(os.MkdirAll(l.Path("services"), 0o700), os.WriteFile(l.Path("services", "prompter.service"), []byte(service), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	bus, err := l.NewBus(lab.SessionBus, "")
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", bus.Address)
	t.Setenv("XDG_CURRENT_DESKTOP", "GNOME")
	return bus.Address
}

// newShell makes a prompter on a bus of its own. No program for dialogs is installed, or
// zenity.
func newShell(t *testing.T, zenity bool) *shell {
	t.Helper()
	s := &shell{t: t, stopped: make(chan struct{}, 10)}
	s.address = sessionBus(t, "")
	if zenity {
		install(t, "zenity", "echo zenity")
		t.Setenv("DBUS_SESSION_BUS_ADDRESS", s.address)
	} else {
		t.Setenv("PATH", t.TempDir())
	}
	s.conn = s.connect()
	return s
}

func (s *shell) connect() *godbus.Conn {
	s.t.Helper()
	conn, err := godbus.Connect(s.address)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { conn.Close() })
	return conn
}

// find starts the prompter and returns the dialog of the desktop, which must be that of
// GNOME.
func (s *shell) find() *gnome {
	s.t.Helper()
	if err := s.conn.Export(shellMethods{s}, prompterPath, prompterInterface); err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.conn.RequestName(prompterName, godbus.NameFlagDoNotQueue); err != nil {
		s.t.Fatal(err)
	}
	d, err := Find(s.t.Context(), "")
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(d.Close)
	g, ok := d.(*gnome)
	if !ok {
		s.t.Fatalf("found %v", d)
	}
	return g
}

func (s *shell) called(name string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.calls = append(s.calls, name)
	n := 0
	for _, c := range s.calls {
		if c == name {
			n++
		}
	}
	return n
}

type shellMethods struct{ s *shell }

func (m shellMethods) BeginPrompting(sender godbus.Sender, _ godbus.ObjectPath) *godbus.Error {
	peer, err := exchangetest.New()
	if err != nil {
		m.s.t.Error(err)
	}
	m.s.mu.Lock()
	m.s.client, m.s.peer = sender, peer
	m.s.mu.Unlock()
	m.s.called("begin")
	if m.s.begin != nil {
		return m.s.begin(m.s)
	}
	m.s.turn()
	return nil
}

// turn gives the client its turn.
func (s *shell) turn() { s.ready("", s.keys().Begin()) }

func (s *shell) keys() *exchangetest.Peer {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.peer
}

func (s *shell) callback(conn *godbus.Conn) godbus.BusObject {
	s.mu.Lock()
	defer s.mu.Unlock()
	return conn.Object(string(s.client), callbackPath)
}

func (m shellMethods) PerformPrompt(_ godbus.ObjectPath, kind string, values map[string]godbus.Variant, message string) *godbus.Error {
	q := question{kind, make(map[string]any)}
	for name, v := range values {
		q.values[name] = v.Value()
	}
	n := m.s.called("perform")
	if m.s.refuse != nil {
		if err := m.s.refuse(q, n); err != nil {
			return err
		}
	}
	m.s.mu.Lock()
	err := m.s.peer.Receive(message)
	m.s.mu.Unlock()
	if err != nil {
		m.s.t.Error(err)
	}
	go m.s.answer(m.s, q)
	return nil
}

func (m shellMethods) StopPrompting(godbus.ObjectPath) *godbus.Error {
	m.s.stopped <- struct{}{}
	m.s.done()
	return nil
}

func (s *shell) ready(reply, message string) {
	s.callback(s.conn).Go(callbackInterface+".PromptReady", godbus.FlagNoAutoStart, nil, reply, map[string]godbus.Variant{
		"choice-chosen": godbus.MakeVariant(godbus.MakeVariant(true)), // gcr packs them twice
	}, message)
}

func (s *shell) done() {
	s.callback(s.conn).Go(callbackInterface+".PromptDone", godbus.FlagNoAutoStart, nil)
}

// typed answers with a password.
func typed(password string) func(*shell, question) {
	return func(s *shell, _ question) {
		s.mu.Lock()
		text, err := s.peer.Seal(password)
		s.mu.Unlock()
		if err != nil {
			s.t.Error(err)
		}
		s.ready("yes", text)
	}
}

// replies answers with that.
func replies(reply, message string) func(*shell, question) {
	return func(s *shell, _ question) { s.ready(reply, message) }
}

func dbusError(name string) *godbus.Error { return godbus.NewError(name, []any{"no"}) }

func TestPrompter(t *testing.T) {
	dies := func(s *shell) { s.conn.Close() }
	for _, c := range []struct {
		name     string
		zenity   bool // it is installed, and must ask only where GNOME cannot
		begin    func(*shell) *godbus.Error
		answer   func(*shell, question)
		refuse   func(question, int) *godbus.Error
		password string
		err      error
		limit    time.Duration // of a call, if it is not enough
		text     string        // in the error
	}{
		{name: "typed", answer: typed("s3cret |ß"), password: "s3cret |ß"},
		{name: "empty", answer: typed("")},
		{name: "longest", answer: typed(strings.Repeat("x", secret.MaxPassword)), password: strings.Repeat("x", secret.MaxPassword)},
		{name: "too long", answer: typed(strings.Repeat("x", secret.MaxPassword+1)), err: secret.ErrTooLong},
		{name: "cancelled", answer: replies("no", ""), err: ErrCancelled},
		{name: "closed", answer: func(s *shell, _ question) { s.done() }, err: ErrCancelled},
		{name: "dies", answer: func(s *shell, _ question) { dies(s) }, err: errGone},
		{name: "dies before the question", begin: func(s *shell) *godbus.Error { go dies(s); return nil }, err: errGone},
		{name: "closed before the question", begin: func(s *shell) *godbus.Error { s.done(); return nil }, err: ErrCancelled},
		{name: "busy", begin: func(*shell) *godbus.Error { return dbusError("org.gnome.keyring.Prompter.InProgress") }, err: errBusy},
		{name: "never its turn", begin: func(*shell) *godbus.Error { return nil }, err: errBusy},
		{name: "does not answer", begin: func(s *shell) *godbus.Error { <-s.t.Context().Done(); return nil }, err: errSilent, limit: 10 * time.Millisecond},
		{name: "is not found in time", err: errSilent, limit: time.Nanosecond},
		{name: "busy, with a program", zenity: true, begin: func(*shell) *godbus.Error { return dbusError("org.gnome.keyring.Prompter.InProgress") }, err: errBusy},
		{name: "closed, with a program", zenity: true, begin: func(s *shell) *godbus.Error { s.done(); return nil }, err: ErrCancelled},
		{name: "begin fails, with a program", zenity: true, begin: func(*shell) *godbus.Error { return dbusError("org.freedesktop.DBus.Error.Failed") }, password: "zenity"},
		{name: "dies early, with a program", zenity: true, begin: func(s *shell) *godbus.Error { go dies(s); return nil }, password: "zenity"},
		{name: "dies late, with a program", zenity: true, answer: func(s *shell, _ question) { dies(s) }, err: errGone},
		{name: "typed, with a program", zenity: true, answer: typed("s3cret"), password: "s3cret"},
		{name: "begin fails", begin: func(*shell) *godbus.Error { return dbusError("org.freedesktop.DBus.Error.Failed") }, text: "cannot start the password dialog of GNOME"},
		{name: "takes a question late", answer: typed("x"), password: "x", refuse: func(_ question, n int) *godbus.Error {
			if n < 4 {
				return dbusError("org.freedesktop.DBus.Error.Failed")
			}
			return nil
		}},
		{name: "takes no question", text: "cannot show the password dialog of GNOME", refuse: func(question, int) *godbus.Error {
			return dbusError("org.freedesktop.DBus.Error.InvalidArgs")
		}},
		{name: "stays busy", err: errBusy, refuse: func(question, int) *godbus.Error {
			return dbusError("org.gnome.keyring.Prompter.InProgress")
		}},
		{name: "an answer without a question", begin: func(s *shell) *godbus.Error { s.ready("yes", "s3cret"); return nil }, text: `"yes" is not allowed here`},
		{name: "a first message that is none", begin: func(s *shell) *godbus.Error { s.ready("", "s3cret"); return nil }, text: "cannot read the answer"},
		{name: "no reply", answer: replies("", "s3cret"), text: `"" is not allowed here`},
		{name: "another reply", answer: replies("maybe"+strings.Repeat("!", 1000), "s3cret"), text: `"maybe!!!!!!!!!!!!!!!" is not allowed here`},
		{name: "no password", answer: func(s *shell, _ question) { s.ready("yes", s.keys().Begin()) }, text: "has no password"},
		{name: "no message", answer: replies("yes", "s3cret"), text: "no key file"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShell(t, c.zenity)
			s.begin, s.answer, s.refuse = c.begin, c.answer, c.refuse
			g := s.find()
			g.prompter.turn, g.prompter.limit = patience, patience
			if errors.Is(c.err, errBusy) {
				g.prompter.turn = time.Millisecond
			}
			if c.limit != 0 {
				g.prompter.limit = c.limit
			}
			got, err := g.Password(t.Context(), Question{Title: "title", Text: "text"})
			want := c.err != nil && errors.Is(err, c.err) || c.text != "" && strings.Contains(fmt.Sprint(err), c.text) ||
				c.err == nil && c.text == "" && err == nil
			if string(got) != c.password || !want {
				t.Errorf("got %q, %v; want %q, %v %s", got, err, c.password, c.err, c.text)
			}
			if strings.Contains(fmt.Sprint(err), "s3cret") {
				t.Errorf("the error has a part of an answer: %v", err)
			}
		})
	}
}

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

// TestPrompterContext ends the question and the conversation.
func TestPrompterContext(t *testing.T) {
	s := newShell(t, false)
	ctx, cancel := context.WithCancel(t.Context())
	s.answer = func(*shell, question) { cancel() }
	g := s.find()
	if _, err := g.Password(ctx, Question{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	g.Close()
	select {
	case <-s.stopped:
	case <-time.After(patience):
		t.Error("the window stays open")
	}
}

// TestPrompterTexts asks several times in one window.
func TestPrompterTexts(t *testing.T) {
	s := newShell(t, false)
	passwords := []string{"wrong", "right", "", "new", "mew", "new", "new"}
	questions := make(chan question, len(passwords))
	s.answer = func(s *shell, q question) {
		questions <- q
		typed(passwords[len(questions)-1])(s, q)
	}
	g := s.find()
	q := Question{Title: "Title", Text: "of a_b&<b>\\n\x1b\u202e\nc", Button: "Go"}
	for _, want := range passwords[:2] {
		if got, err := g.Password(t.Context(), q); string(got) != want || err != nil {
			t.Fatalf("got %q, %v; want %q", got, err, want)
		}
		q.Warning = "It is wrong."
	}
	if got, err := g.NewPassword(t.Context(), Question{Title: "New", Text: "new", Button: "Set"}); string(got) != "new" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	if n := s.called("begin"); n != 2 {
		t.Errorf("it has begun %d times", n-1)
	}
	for i, want := range []map[string]any{
		{"title": "Title", "message": "Title", "description": `of a_b&<b>\n\x1B\xE2\x80\xAE` + "\nc", "warning": "", "password-new": false, "continue-label": "Go", "cancel-label": "Cancel", "caller-window": ""},
		{"warning": "It is wrong.", "password-new": false},
		{"description": "new", "warning": "", "password-new": false},
		{"description": "new", "warning": emptyPassword},
		{"description": "The new password again:", "warning": "", "continue-label": "Set"},
		{"description": "new", "warning": "The two were not the same."},
		{"description": "The new password again:", "warning": ""},
	} {
		asked := <-questions
		if asked.kind != "password" {
			t.Errorf("question %d is a %s", i, asked.kind)
		}
		for name, value := range want {
			if asked.values[name] != value {
				t.Errorf("question %d: %s is %q, want %q", i, name, asked.values[name], value)
			}
		}
	}
}

// TestPrompterAlone has no program for other questions.
func TestPrompterAlone(t *testing.T) {
	s := newShell(t, false)
	told := make(chan question, 1)
	s.answer = func(s *shell, q question) {
		told <- q
		s.ready("yes", s.keys().Begin())
	}
	g := s.find()
	if got, err := g.Text(t.Context(), "title", "text", "alice"); got != "alice" || err != nil {
		t.Errorf("a line: %q, %v", got, err)
	}
	if _, err := g.Text(t.Context(), "title", "text", ""); !errors.Is(err, ErrNoDialog) {
		t.Errorf("a line without an offer: %v", err)
	}
	g.Tell(t.Context(), "title", "text")
	if q := <-told; q.kind != "confirm" || q.values["description"] != "text" {
		t.Errorf("told %v", q)
	}
}

// TestPrompterOthers has calls from others, answers that nobody waits for, and a user who
// closes the window that waits.
func TestPrompterOthers(t *testing.T) {
	s := newShell(t, false)
	refused := make(chan error, 2)
	s.answer = func(s *shell, q question) {
		other := s.callback(s.connect())
		refused <- other.Call(callbackInterface+".PromptReady", 0, "no", map[string]godbus.Variant{}, "").Err
		refused <- other.Call(callbackInterface+".PromptDone", 0).Err
		typed("mine")(s, q)
	}
	g := s.find()
	if got, err := g.Password(t.Context(), Question{}); string(got) != "mine" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
	for range 2 {
		if err := <-refused; err == nil || !strings.Contains(err.Error(), "only the prompter") {
			t.Errorf("another client: %v", err)
		}
	}
	waiting, stop := g.Waiting(t.Context())
	defer stop()
	call := func(method string, args ...any) error {
		return s.callback(s.conn).Call(callbackInterface+"."+method, 0, args...).Err
	}
	ready := func() error { return call("PromptReady", "yes", map[string]godbus.Variant{}, "") }
	if err := errors.Join(ready(), ready()); err == nil || !strings.Contains(err.Error(), "there is an answer already") {
		t.Errorf("two answers: %v", err)
	}
	if _, err := g.Password(t.Context(), Question{}); err == nil || !strings.Contains(err.Error(), "not allowed here") {
		t.Errorf("an answer before the question: %v", err)
	}
	if waiting.Err() != nil {
		t.Error("the window is closed")
	}
	if err := call("PromptDone"); err != nil {
		t.Error(err)
	}
	select {
	case <-waiting.Done():
	case <-time.After(patience):
		t.Error("the end of the window does not end what waits")
	}
	if _, err := g.Password(t.Context(), Question{}); !errors.Is(err, ErrCancelled) {
		t.Errorf("after the end: %v", err)
	}
	if n := s.called("perform"); n != 2 {
		t.Errorf("%d questions were asked, want 1", n-1)
	}
}

// TestPrompterFails has a prompter that cannot be started: a program takes its place,
// but not for who wants GNOME's.
func TestPrompterFails(t *testing.T) {
	sessionBus(t, "[D-BUS Service]\nName="+prompterName+"\nExec=/bin/false\n")
	t.Setenv("DISPLAY", ":77")
	dir := t.TempDir()
	t.Setenv("PATH", dir)
	ask := func(name string) (string, error) {
		d, err := Find(t.Context(), name)
		if err != nil {
			return "", err
		}
		defer d.Close()
		got, err := d.Password(t.Context(), Question{Text: "text"})
		return string(got), err
	}
	if got, err := ask(""); err == nil || !strings.Contains(err.Error(), "cannot start the password dialog of GNOME") {
		t.Errorf("without a program: %q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "zenity"), []byte("#!/bin/sh\necho zenity\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if got, err := ask(""); got != "zenity" || err != nil {
		t.Errorf("with a program: %q, %v", got, err)
	}
	if got, err := ask(GNOME); err == nil || !strings.Contains(err.Error(), "cannot start the password dialog of GNOME") {
		t.Errorf("GNOME's only: %q, %v", got, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "kdialog"), []byte("#!/bin/sh\necho kdialog\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("XDG_CURRENT_DESKTOP", "KDE")
	if got, err := ask(""); got != "kdialog" || err != nil {
		t.Errorf("on KDE: %q, %v", got, err)
	}
}
