package busclients

import (
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// examples returns the examples of org.kcmd.KCM1(5) by their titles, as the page
// is printed.
func examples(t *testing.T) map[string]string {
	t.Helper()
	lab.Need(t, "mandoc")
	page, err := exec.Command("mandoc", "-T", "utf8", filepath.Join("..", "..", "data", "man", "org.kcmd.KCM1.5")).Output()
	if err != nil {
		t.Fatal(err)
	}
	// Bold and underlined text is printed over and over.
	text := regexp.MustCompile(".\b").ReplaceAllString(string(page), "")
	_, text, _ = strings.Cut(text, "\nEXAMPLES\n")
	text, _, _ = strings.Cut(text, "\nSEE ALSO\n")
	found := make(map[string]string)
	var title string
	for line := range strings.Lines(text) {
		const heading, literal = "   ", "           "
		switch rest, ok := strings.CutPrefix(line, literal); {
		case line == "\n":
			found[title] += "\n"
		case ok:
			found[title] += rest
		case strings.HasPrefix(line, heading) && line[len(heading)] != ' ':
			title = strings.TrimSpace(line)
		}
	}
	for title, text := range found {
		found[title] = strings.Trim(text, "\n") + "\n"
	}
	return found
}

// example returns one of the examples.
func example(t *testing.T, title string) string {
	t.Helper()
	text := examples(t)[title]
	if len(text) < 100 {
		t.Fatalf("no example %q", title)
	}
	return text
}

// TestTrayExample runs the tray of the man page, which is a page of code. It
// begins without a daemon, which then comes, restarts and holds caches of all kinds.
func TestTrayExample(t *testing.T) {
	needPython(t)
	text := example(t, "A tray")
	if lines := strings.Count(text, "\n"); lines > 50 {
		t.Errorf("the example has %d lines", lines)
	}
	w := newWorld(t, lab.SystemBus)
	w.stopDaemon()
	l := w.listen(owner, python, w.write("tray.py", text))
	foreign := w.listen(stranger, python, w.write("tray.py", text))
	l.await(`^kcmd is not on the bus$`)
	foreign.await(`^kcmd is not on the bus$`)
	w.startDaemon()
	w.must(owner, "kinit", "alice")
	l.await(`^new alice@KCMD\.TEST valid tickets: 1 20\d\d-`)
	w.must(owner, "kinit", "bob")
	l.await(`^new bob@KCMD\.TEST valid`)
	w.must(owner, "kvno", lab.Service)
	l.await(`^changed bob@KCMD\.TEST valid tickets: 2`)

	// A restart shows the changes, of which there are none, and the next event.
	l.forget()
	w.stopDaemon()
	l.await(`^kcmd is not on the bus$`)
	w.startDaemon()
	w.must(owner, "kdestroy")
	l.await(`^gone bob@KCMD\.TEST`)
	w.must(owner, "kinit", "-l", "5m", "alice")
	l.await(`^changed alice@KCMD\.TEST expiring`)
	if text := l.text(); strings.Contains(text, "new ") || strings.Count(text, "gone ") != 1 {
		t.Errorf("a restart shows changes where there are none:\n%s", text)
	}
	w.must(owner, "kinit", "-S", lab.Service, "bob")
	l.await(`^new bob@KCMD\.TEST no-tgt tickets: 1$`)
	for who, text := range map[string]string{"the tray": l.all(), "another user's tray": foreign.all()} {
		if strings.Contains(text, "Traceback") || strings.Contains(text, "1970-") {
			t.Errorf("%s shows:\n%s", who, text)
		}
	}
	if text := foreign.all(); strings.Contains(text, lab.RealmName) {
		t.Errorf("another user's tray shows:\n%s", text)
	}
}

func TestProxyExample(t *testing.T) {
	needPython(t)
	w := newWorld(t, lab.SystemBus)
	w.stopDaemon()
	l := w.listen(owner, python, w.write("default.py", example(t, "One collection")))
	l.await(`^kcmd is not on the bus$`)
	w.startDaemon()
	l.await(`^the default is missing$`)
	w.must(owner, "kinit", "alice")
	l.await(`^the default is KCM:33$`)
	l.forget()
	w.stopDaemon()
	l.await(`^kcmd is not on the bus$`)
	w.startDaemon()
	l.await(`^the default is KCM:33$`)
	if text := l.all(); strings.Contains(text, "Traceback") {
		t.Errorf("it shows:\n%s", text)
	}
}

// TestShellExample begins without a daemon, which comes and restarts before the ticket.
func TestShellExample(t *testing.T) {
	w := newWorld(t, lab.SystemBus)
	w.stopDaemon()
	l := w.listen(owner, "sh", w.write("wait", example(t, "Waiting for a ticket")))
	for range 2 {
		w.startDaemon()
		w.stopDaemon()
	}
	w.startDaemon()
	// It does not say when it waits: what comes before, it need not see.
	for done := false; !done; {
		w.must(owner, "kinit", "alice")
		select {
		case <-l.done:
			done = true
		default:
		}
	}
	l.await(`^Default principal: alice@KCMD\.TEST`)
	if !l.cmd.ProcessState.Success() {
		t.Errorf("it ended with %v", l.cmd.ProcessState)
	}
}

func TestGoExample(t *testing.T) {
	w := newWorld(t, lab.SystemBus)
	listensAsExample(w, w.buildGo(w.write("example.go", example(t, "A listener in Go"))))
}

func TestCExample(t *testing.T) {
	w := newWorld(t, lab.SystemBus)
	listensAsExample(w, w.compile(w.write("example.c", example(t, "A listener in C")), "libsystemd"))
}

// listensAsExample runs an example that prints the signals that it receives. It begins
// without a daemon, which comes and restarts.
func listensAsExample(w *world, program string) {
	w.t.Helper()
	w.stopDaemon()
	l := w.listen(owner, program)
	l.await(`^kcmd is not on the bus`)
	w.startDaemon()
	l.await(`^subscribed$`)
	w.must(owner, "kinit", "-S", lab.Service, "alice") // a cache without a TGT
	l.await(`InterfacesAdded /org/kcmd/KCM1$`)
	l.await(`TicketsAdded /org/kcmd/KCM1/user/33/cache/`)
	l.forget()
	w.stopDaemon()
	w.startDaemon()
	l.await(`^subscribed$`)
	w.must(owner, "kinit", "alice")
	l.await(`TicketsAdded /org/kcmd/KCM1/user/33/cache/`)
}

// TestWhichBusExample: the example follows kcmd from bus to bus.
func TestWhichBusExample(t *testing.T) {
	needPython(t)
	system, session := newWorld(t, lab.SystemBus), newWorld(t, lab.SessionBus)
	system.stopDaemon()
	session.stopDaemon()
	system.env = []string{session.bus.Env()}
	l := system.listen(0, python, system.write("which.py", example(t, "The bus of kcmd")))
	for _, step := range []struct {
		do   func()
		want string
	}{
		{func() {}, `^kcmd is on neither bus$`},
		{session.startDaemon, `^kcmd is on the session bus$`},
		{system.startDaemon, `^kcmd is on the system bus$`},
		{system.stopDaemon, `^kcmd is on the session bus$`},
		{session.stopDaemon, `^kcmd is on neither bus$`},
	} {
		l.forget()
		step.do()
		l.await(step.want)
	}
}

func TestBusctlExample(t *testing.T) {
	w := newWorld(t, lab.SystemBus)
	w.must(owner, "kinit", "alice")
	script := strings.ReplaceAll(example(t, "Reading"), "EXAMPLE.COM", lab.RealmName)
	want(t, w.must(owner, "sh", "-e", w.write("look", script)),
		"/org/kcmd/KCM1/user/33/cache/", `^\.DestroyAll +method`, `^s "KCM:33"$`, `^ao 1 "/org/kcmd`, `readonly b Subscribed`, `^\(\{objectpath '/org`)
}
