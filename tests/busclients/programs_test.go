package busclients

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// python is the interpreter that the packages of Debian are for: the first one
// in PATH may be another.
const python = "/usr/bin/python3"

// needPython skips the test unless Python can talk to GLib.
func needPython(t *testing.T) {
	t.Helper()
	needModule(t, "gi.repository.Gio", "python3-gi and gir1.2-glib-2.0")
}

// needModule skips the test unless Python has a module, of those packages.
func needModule(t *testing.T, module, packages string) {
	t.Helper()
	if out, err := exec.Command(python, "-c", "import "+module).CombinedOutput(); err != nil {
		lab.SkipMissing(t, "needs packages ", packages, ": ", string(out))
	}
}

// file copies a file of testdata to where every user can read it.
func (w *world) file(name string) string {
	w.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.write(name, string(text))
}

func (w *world) write(name, text string) string {
	w.t.Helper()
	path := w.lab.Path(name)
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		w.t.Fatal(err)
	}
	return path
}

// compile builds a program from its source, with what pkg-config says of a library.
func (w *world) compile(source, library string, more ...string) string {
	w.t.Helper()
	lab.Need(w.t, "gcc", "pkg-config")
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", library).Output()
	if err != nil {
		lab.SkipMissing(w.t, "needs the headers of ", library)
	}
	program := w.lab.Path(strings.TrimSuffix(filepath.Base(source), ".c"))
	args := append([]string{"-Wall", "-o", program, source}, more...)
	if out := w.must(os.Getuid(), "gcc", append(args, strings.Fields(string(flags))...)...); out != "" {
		w.t.Errorf("gcc %s: %s", source, out)
	}
	return program
}

// goProgram builds a Go program of testdata in this module, which has godbus.
func (w *world) goProgram(name string) string { return w.buildGo(filepath.Join("testdata", name)) }

func (w *world) buildGo(source string) string {
	w.t.Helper()
	program := w.lab.Path(strings.TrimSuffix(filepath.Base(source), ".go"))
	if out, err := exec.Command("go", "build", "-o", program, source).CombinedOutput(); err != nil {
		w.t.Fatalf("go build: %v\n%s", err, out)
	}
	return program
}

// TestObjectManagerClient: a GDBusObjectManagerClient needs no other call to get
// signals, and recovers when the daemon is restarted.
func TestObjectManagerClient(t *testing.T) {
	needPython(t)
	onBothBuses(t, func(t *testing.T, w *world) {
		w.must(w.self(), "kinit", "alice")
		l := w.listen(w.self(), python, w.file("listen.py"), string(w.bus.Type), "manager")
		l.await("^object " + w.cachePath("alice"))
		l.await("^ready")
		w.must(w.self(), "kinit", "bob")
		l.await("^signal object-added")
		l.await("^signal changed Caches")
		w.must(w.self(), "kvno", lab.Service)
		l.await("^signal TicketsAdded")
		l.forget()
		w.stopDaemon()
		l.await("^signal object-removed")
		w.startDaemon()
		l.await("^signal object-added")
		l.forget()
		w.must(w.self(), "kdestroy", "-A")
		l.await("^signal object-removed")
		l.await("^signal changed .*Caches")
	})
}

// TestProxy: a GDBusProxy needs no other call either.
func TestProxy(t *testing.T) {
	needPython(t)
	onBothBuses(t, func(t *testing.T, w *world) {
		l := w.listen(w.self(), python, w.file("listen.py"), string(w.bus.Type), "proxy", collectionPath(w.self()))
		l.await("^ready")
		w.must(w.self(), "kinit", "alice")
		l.await("^signal changed Caches DefaultCache DefaultCacheName NextExpiry")
	})
}

// TestAlias: GDBusProxy and gdbus monitor get the signals of an object from its
// path below /user/self, which they use. On the system bus gdbus monitor gets them
// by SubscribeProcess with that path; on a session bus by the proxy's GetAll.
func TestAlias(t *testing.T) {
	needPython(t)
	onBothBuses(t, func(t *testing.T, w *world) {
		w.must(w.self(), "kinit", "alice")
		self := rootPath + "/user/self"
		proxy := func(path, iface string) *listener {
			l := w.listen(w.self(), python, w.file("listen.py"), string(w.bus.Type), "proxy", path, iface)
			l.await("^ready")
			return l
		}
		collection := proxy(self, "Collection")
		cache := proxy(strings.Replace(w.cachePath("alice"), collectionPath(w.self()), self, 1), "Cache")
		monitor := w.listen(w.self(), "gdbus", "monitor", w.busFlag("gdbus"), "--dest", lab.BusName, "--object-path", self)
		monitor.await("is owned by")
		if w.bus.Type == lab.SystemBus {
			w.gdbus("call", "--object-path", rootPath, "--method", "org.kcmd.KCM1.Manager.SubscribeProcess",
				pid(monitor), "{'collection': <objectpath '"+self+"'>}")
		}
		w.must(w.self(), "kvno", lab.Service)
		cache.await("^signal TicketsAdded")
		cache.await("^signal changed .*TicketCount")
		w.must(w.self(), "kinit", "bob")
		collection.await("^signal changed Caches DefaultCache DefaultCacheName")
		monitor.await(`^` + self + `: org\.freedesktop\.DBus\.Properties\.PropertiesChanged \('org\.kcmd\.KCM1\.Collection', .*'Caches'`)
		w.must(w.self(), "kdestroy", "-A")
		collection.await("^signal changed .*Caches")
		monitor.await("'DefaultCacheName': <''>")

		collection.forget()
		w.stopDaemon()
		w.startDaemon()
		collection.await("^owner :")
		collection.forget()
		w.must(w.self(), "kinit", "alice")
		collection.await("^signal changed Caches")
	})
}

// TestCodegen compiles and runs C code that gdbus-codegen makes from the XML.
func TestCodegen(t *testing.T) {
	lab.Need(t, "gdbus-codegen")
	onBothBuses(t, func(t *testing.T, w *world) {
		files, err := filepath.Glob(filepath.Join("..", "..", "introspection", "*.xml"))
		if err != nil || len(files) != 3 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		args := []string{"--interface-prefix", "org.kcmd.KCM1.", "--c-namespace", "Kcm", "--c-generate-object-manager", "--generate-c-code", w.lab.Path("kcm")}
		for _, file := range files {
			file, err := filepath.Abs(file)
			if err != nil {
				t.Fatal(err)
			}
			args = append(args, file)
		}
		w.must(os.Getuid(), "gdbus-codegen", args...)
		program := w.compile(w.file("codegen.c"), "gio-unix-2.0", w.lab.Path("kcm.c"))
		l := w.listen(w.self(), program, string(w.bus.Type))
		l.await("^ready")
		w.must(w.self(), "kinit", "alice")
		l.await(`^added alice@KCMD\.TEST valid`)
		l.await("^tickets 1 of 1")
		l.await("^removed /org/kcmd")
		<-l.done
		if !l.cmd.ProcessState.Success() {
			t.Errorf("it ended with %v", l.cmd.ProcessState)
		}
	})
}

// qtProgram builds the client over QtDBus once, with the classes that qdbusxml2cpp makes
// from the XML.
var qtProgram = sync.OnceValues(func() (program string, err error) {
	flags, err := exec.Command("pkg-config", "--cflags", "--libs", "Qt5DBus").Output()
	if err != nil {
		return "", fmt.Errorf("pkg-config: %w", err)
	}
	dir := shared.Path("qt")
	if err := os.Mkdir(dir, 0o755); err != nil {
		return "", err
	}
	here, err := os.Getwd()
	if err != nil {
		return "", err
	}
	source := filepath.Join(here, "testdata", "qt.cpp")
	commands := [][]string{{"moc", "-o", "qt.moc", source}}
	for _, name := range []string{"Manager", "Collection", "Cache"} {
		xml, file := filepath.Join(here, "..", "..", "introspection", "org.kcmd.KCM1."+name+".xml"), strings.ToLower(name)
		commands = append(commands, []string{"qdbusxml2cpp", "-c", "Kcm" + name, "-p", file, xml}, []string{"moc", "-o", file + ".moc", file + ".h"})
	}
	commands = append(commands, append([]string{"g++", "-Wall", "-Werror", "-fPIC", "-I.", "-o", "qt", source}, strings.Fields(string(flags))...))
	for _, c := range commands {
		cmd := exec.Command(c[0], c[1:]...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w\n%s", strings.Join(c, " "), err, out)
		}
	}
	return filepath.Join(dir, "qt"), nil
})

// needQt returns the client over QtDBus. It skips the test where QtDBus is missing.
func needQt(t *testing.T) string {
	t.Helper()
	lab.Need(t, "g++", "pkg-config", "moc", "qdbusxml2cpp")
	if err := exec.Command("pkg-config", "--exists", "Qt5DBus").Run(); err != nil {
		lab.SkipMissing(t, "needs package qtbase5-dev")
	}
	program, err := qtProgram()
	if err != nil {
		t.Fatal(err)
	}
	return program
}

// TestQt compiles and runs C++ code that qdbusxml2cpp makes from the XML.
func TestQt(t *testing.T) {
	program := needQt(t)
	onBothBuses(t, func(t *testing.T, w *world) {
		l := w.listen(w.self(), program, string(w.bus.Type), "again", collectionPath(w.self()))
		l.await("^ready")
		w.must(w.self(), "kinit", "alice")
		l.await("^changed .*Caches")
		l.await(fmt.Sprintf("^collection %s of %d$", collectionPath(w.self()), w.self()))
		l.await(`^cache alice@KCMD\.TEST valid, tickets 1 of 1$`)
		w.must(w.self(), "kvno", lab.Service)
		l.await("^added " + lab.Service)
		w.must(w.self(), "kinit", "alice")
		l.await(`^reinitialized krbtgt/KCMD\.TEST`)
	})
}
