package busclients

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A kind is a kind of listening client, with its way to subscribe.
type kind struct {
	name string
	// binding is its name in the table of org.kcmd.KCM1(5), "" if it is not there.
	binding string
	// subscribes is whether it calls Subscribe or SubscribeProcess, once.
	subscribes bool
	// told is whether it receives signals about its own caches on the system bus. On
	// the session bus all do.
	told bool
	// back matches its output when it has seen a restart of the daemon, "" if it tells
	// nothing of that. If it is told and does not subscribe, it then receives signals
	// again.
	back  string
	start func(w *world, uid int) *listener
}

// kinds are the kinds of clients. All are ready when start returns.
func kinds(w *world) []kind {
	ready := func(w *world, uid int, program string, args ...string) *listener {
		l := w.listen(uid, program, args...)
		l.await("^ready")
		return l
	}
	inPython := func(name, binding string, told bool, back, mode string) kind {
		return kind{name, binding, mode == "subscribe", told, back, func(w *world, uid int) *listener {
			return ready(w, uid, python, w.file("listen.py"), string(w.bus.Type), mode, collectionPath(uid))
		}}
	}
	monitor := func(w *world, uid int) *listener {
		l := w.listen(uid, "gdbus", "monitor", w.busFlag("gdbus"), "--dest", lab.BusName)
		l.await("is owned by")
		return l
	}
	list := []kind{
		inPython("GDBusObjectManagerClient", "GDBusObjectManagerClient", true, "^signal object-added", "manager"),
		inPython("GDBusProxy", "GDBusProxy", true, "^owner :", "proxy"),
		inPython("GDBus match rule and Subscribe", "GDBus match rule", true, "", "subscribe"),
		inPython("GDBus match rule alone", "GDBus match rule", false, "", "silent"),
		{"gdbus monitor and SubscribeProcess", "gdbus monitor", true, true, "is owned by", func(w *world, uid int) *listener {
			l := monitor(w, uid)
			w.must(uid, "gdbus", "call", w.busFlag("gdbus"), "--dest", lab.BusName, "--object-path", rootPath,
				"--method", "org.kcmd.KCM1.Manager.SubscribeProcess", pid(l), "{}")
			return l
		}},
		{"gdbus monitor alone", "gdbus monitor", false, false, "is owned by", monitor},
		{"dbus-monitor", "", false, false, "", func(w *world, uid int) *listener {
			l := w.listen(uid, "dbus-monitor", w.busFlag("gdbus"), "type='signal',sender='org.kcmd.KCM1'")
			time.Sleep(200 * time.Millisecond) // it does not say when it is ready
			return l
		}},
	}
	// These subscribe once or not at all.
	either := func(binding string, start func(w *world, uid int, mode string) *listener) {
		for _, mode := range []string{"once", "silent"} {
			list = append(list, kind{binding + " " + mode, binding, mode == "once", mode == "once", "", func(w *world, uid int) *listener {
				return start(w, uid, mode)
			}})
		}
	}
	for binding, module := range map[string]string{"dbus-python": "dbus", "dasbus": "dasbus", "dbus-next": "dbus_next"} {
		needModule(w.t, module, "python3-dbus, python3-dasbus and python3-dbus-next")
		either(binding, func(w *world, uid int, mode string) *listener {
			return ready(w, uid, python, w.file("bindings.py"), binding, string(w.bus.Type), mode, collectionPath(uid))
		})
	}
	qt, godbus := needQt(w.t), w.goProgram("listen.go")
	either("QtDBus", func(w *world, uid int, mode string) *listener {
		return ready(w, uid, qt, string(w.bus.Type), mode, collectionPath(uid))
	})
	either("godbus", func(w *world, uid int, mode string) *listener {
		return ready(w, uid, godbus, string(w.bus.Type), mode)
	})
	sdbus := w.compile(w.file("sdbus.c"), "libsystemd")
	either("sd-bus", func(w *world, uid int, mode string) *listener {
		return ready(w, uid, sdbus, string(w.bus.Type), mode)
	})
	return list
}

// heard matches the output of a client after a signal about a new ticket or about its
// collection.
const heard = `Added|object-added|changed .*Caches|PropertiesChanged`

// TestSignalMatrix runs every kind of client as the owner of the tickets and as another
// user, who receives no signal. After a restart of the daemon those that had to
// subscribe receive none, as the table in org.kcmd.KCM1(5) says.
func TestSignalMatrix(t *testing.T) {
	needPython(t)
	lab.Need(t, "dbus-monitor")
	w := newWorld(t, lab.SystemBus)
	list := kinds(w)
	compareWithTable(t, list)
	all := make(map[*listener]kind)
	var told, others []*listener
	for _, k := range list {
		l := k.start(w, owner)
		l.name = "the owner's " + k.name
		all[l] = k
		if k.told {
			told = append(told, l)
		} else {
			others = append(others, l)
		}
		l = k.start(w, stranger)
		l.name = "the stranger's " + k.name
		all[l] = k
		others = append(others, l)
	}
	root := list[0].start(w, 0)
	root.name = "root's GDBusObjectManagerClient"
	monitor := w.listen(0, "busctl", "monitor", "--system", lab.BusName)
	monitor.name = "root's busctl monitor"
	monitor.await("Monitoring bus message stream")
	// announced has the daemon announce something, which told are to hear, and not others.
	announced := func(principal string) {
		for _, l := range append(others, told...) {
			l.forget()
		}
		w.must(owner, "kinit", principal)
		for _, l := range append(told, root) {
			l.await(heard)
		}
		monitor.await(principal + `@KCMD\.TEST`)
		time.Sleep(300 * time.Millisecond)
		for _, l := range others {
			if text := l.text(); text != "" {
				t.Errorf("%s was told of the ticket for %s:\n%s", l.name, principal, text)
			}
		}
	}
	announced("alice")
	monitor.await("Member=InterfacesAdded")

	for l := range all {
		l.forget()
	}
	heal := told
	w.stopDaemon()
	w.startDaemon()
	for l, k := range all {
		if k.back != "" {
			l.await(k.back)
		}
	}
	told = nil
	for _, l := range heal {
		if all[l].subscribes {
			others = append(others, l)
		} else {
			told = append(told, l)
		}
	}
	announced("bob")

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
	for _, k := range kinds(w) {
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

// compareWithTable compares the kinds of clients with the table in org.kcmd.KCM1(5).
func compareWithTable(t *testing.T, list []kind) {
	t.Helper()
	page, err := os.ReadFile(filepath.Join("..", "..", "data", "man", "org.kcmd.KCM1.5"))
	if err != nil {
		t.Fatal(err)
	}
	want := make(map[string]string)
	for _, row := range regexp.MustCompile(`(?m)^\.It (.*) Ta (yes|no) Ta (yes|no)$`).FindAllStringSubmatch(string(page), -1) {
		want[row[1]] = row[2] + " " + row[3]
	}
	got := make(map[string]string)
	for _, k := range list {
		if k.binding != "" && k.told {
			got[k.binding] = map[bool]string{true: "yes yes", false: "no no"}[k.subscribes]
		}
	}
	if !maps.Equal(want, got) {
		t.Errorf("the page says of Subscribe and of a restart\n%v, the clients\n%v", want, got)
	}
}
