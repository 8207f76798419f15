package busclients

import (
	"os/exec"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A kind is a kind of listening client, with its way to subscribe.
type kind struct {
	name string
	// told is whether it receives signals about its own caches on the system bus. On
	// the session bus all do.
	told  bool
	start func(w *world, uid int) *listener
}

// kinds are the kinds of clients. All are ready when start returns.
func kinds(sdbus string) []kind {
	inPython := func(name string, told bool, mode string) kind {
		return kind{name, told, func(w *world, uid int) *listener {
			l := w.listen(uid, python, w.file("listen.py"), string(w.bus.Type), mode, collectionPath(uid))
			l.await("^ready")
			return l
		}}
	}
	inC := func(name string, told bool, mode string) kind {
		return kind{name, told, func(w *world, uid int) *listener {
			l := w.listen(uid, sdbus, string(w.bus.Type), mode)
			l.await("^ready")
			return l
		}}
	}
	monitor := func(w *world, uid int) *listener {
		l := w.listen(uid, "gdbus", "monitor", w.busFlag("gdbus"), "--dest", lab.BusName)
		l.await("is owned by")
		return l
	}
	list := []kind{
		inPython("GDBusObjectManagerClient", true, "manager"),
		inPython("GDBusProxy", true, "proxy"),
		inPython("GDBus match rule and Subscribe", true, "subscribe"),
		inPython("GDBus match rule alone", false, "silent"),
		{"gdbus monitor and SubscribeProcess", true, func(w *world, uid int) *listener {
			l := monitor(w, uid)
			w.must(uid, "gdbus", "call", w.busFlag("gdbus"), "--dest", lab.BusName, "--object-path", rootPath,
				"--method", "org.kcmd.KCM1.Manager.SubscribeProcess", pid(l), "{}")
			return l
		}},
		{"gdbus monitor alone", false, monitor},
		{"dbus-monitor", false, func(w *world, uid int) *listener {
			l := w.listen(uid, "dbus-monitor", w.busFlag("gdbus"), "type='signal',sender='org.kcmd.KCM1'")
			time.Sleep(200 * time.Millisecond) // it does not say when it is ready
			return l
		}},
	}
	if sdbus != "" {
		list = append(list, inC("sd-bus match rule and Subscribe", true, "subscribe"), inC("sd-bus match rule alone", false, "silent"))
	}
	return list
}

// heard matches the output of a client after a signal about a new ticket or about its
// collection.
const heard = `Added|object-added|changed Caches|PropertiesChanged`

// TestSignalMatrix runs every kind of client as the owner of the tickets and as another
// user, who receives no signal.
func TestSignalMatrix(t *testing.T) {
	needPython(t)
	lab.Need(t, "dbus-monitor")
	w := newWorld(t, lab.SystemBus)
	var told, others []*listener
	for _, k := range kinds(w.sdbus()) {
		l := k.start(w, owner)
		l.name = "the owner's " + k.name
		if k.told {
			told = append(told, l)
		} else {
			others = append(others, l)
		}
		l = k.start(w, stranger)
		l.name = "the stranger's " + k.name
		others = append(others, l)
	}
	root := kinds("")[0].start(w, 0)
	root.name = "root's GDBusObjectManagerClient"
	all := w.listen(0, "busctl", "monitor", "--system", lab.BusName)
	all.name = "root's busctl monitor"
	all.await("Monitoring bus message stream")
	for _, l := range append(others, told...) {
		l.forget()
	}
	w.must(owner, "kinit", "alice")
	for _, l := range append(told, root) {
		l.await(heard)
	}
	all.await("Member=InterfacesAdded")
	all.await(`alice@KCMD\.TEST`)
	time.Sleep(300 * time.Millisecond)
	for _, l := range others {
		if text := l.text(); text != "" {
			t.Errorf("%s was told:\n%s", l.name, text)
		}
	}
	for _, l := range told {
		l.stop()
	}

	// Another user can neither watch the whole bus nor learn of the caches by calls.
	if out, err := w.run(stranger, "busctl", "monitor", "--system", lab.BusName); err == nil {
		t.Errorf("busctl monitor is for everybody:\n%s", out)
	}
	want(t, w.must(stranger, "busctl", "--system", "call", lab.BusName, rootPath, "org.kcmd.KCM1.Manager", "FindCaches", "s", ""), "^ao 0$")
	foreign := collectionPath(owner)
	if out, err := w.run(stranger, "busctl", "--system", "introspect", lab.BusName, foreign); err == nil {
		t.Errorf("another user's collection is there:\n%s", out)
	}
}

// TestSignalMatrixOfSession: on a session bus all listeners receive the signals.
func TestSignalMatrixOfSession(t *testing.T) {
	needPython(t)
	lab.Need(t, "dbus-monitor")
	w := newWorld(t, lab.SessionBus)
	var all []*listener
	for _, k := range kinds(w.sdbus()) {
		l := k.start(w, w.self())
		l.name = k.name
		all = append(all, l)
	}
	busctl := w.listen(w.self(), "busctl", "--user", "monitor", lab.BusName)
	busctl.await("Monitoring bus message stream")
	w.must(w.self(), "kinit", "alice")
	for _, l := range append(all, busctl) {
		l.await(heard)
	}
}

// sdbus builds the client over sd-bus, "" where it cannot be built.
func (w *world) sdbus() string {
	w.t.Helper()
	if lab.Missing("gcc", "pkg-config") == nil && exec.Command("pkg-config", "--exists", "libsystemd").Run() == nil {
		return w.compile(w.file("sdbus.c"), "libsystemd")
	}
	w.t.Log("without sd-bus: needs packages gcc, pkg-config and libsystemd-dev")
	return ""
}
