package busclients

import (
	"os"
	"path/filepath"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// onBothBuses runs a test on a session bus and on a system bus.
func onBothBuses(t *testing.T, f func(t *testing.T, w *world)) {
	for _, busType := range []lab.BusType{lab.SessionBus, lab.SystemBus} {
		t.Run(string(busType), func(t *testing.T) { f(t, newWorld(t, busType)) })
	}
}

func TestBusctl(t *testing.T) {
	onBothBuses(t, func(t *testing.T, w *world) {
		w.must(w.self(), "kinit", "alice")
		cache := w.cachePath("alice")
		want(t, w.busctl("tree", lab.BusName), "/org/kcmd/KCM1$", collectionPath(w.self())+"$", cache+"$")
		want(t, w.busctl("introspect", lab.BusName, cache),
			`^org\.kcmd\.KCM1\.Cache +interface`, `^\.Destroy +method +- +-`, `^\.ListTickets +method +a\{sv\} +aa\{sv\}u`,
			`^\.TicketExpiring +signal +a\{sv\}u`, `^\.ClientPrincipal +property +s +"alice@KCMD.TEST" +emits-change`,
			`^\.UUID +property +s +"[0-9a-f-]{36}" +const`, `^\.State +property +s +"valid"`)
		want(t, w.busctl("get-property", lab.BusName, cache, "org.kcmd.KCM1.Cache", "Realm", "TicketCount"), `^s "KCMD\.TEST"$`, `^u 1$`)
		want(t, w.busctl("call", lab.BusName, cache, "org.kcmd.KCM1.Cache", "ListTickets", "a{sv}", "1", "tgt-only", "b", "true"), `"krbtgt/KCMD.TEST@KCMD.TEST"`)
		w.must(w.self(), "kinit", "bob")
		w.busctl("call", lab.BusName, cache, "org.kcmd.KCM1.Cache", "SwitchTo")
		want(t, w.must(w.self(), "klist"), "Default principal: alice@")
		w.busctl("call", lab.BusName, rootPath+"/user/self", "org.kcmd.KCM1.Collection", "SetDefault", "o", w.cachePath("bob"))
		want(t, w.must(w.self(), "klist"), "Default principal: bob@")
		w.busctl("call", lab.BusName, cache, "org.kcmd.KCM1.Cache", "Destroy")
		want(t, w.busctl("call", lab.BusName, rootPath+"/user/self", "org.kcmd.KCM1.Collection", "DestroyAll"), "^u 1$")
		if out, err := w.run(w.self(), "klist", "-l"); err == nil {
			t.Errorf("caches are left:\n%s", out)
		}
	})
}

func TestGdbus(t *testing.T) {
	onBothBuses(t, func(t *testing.T, w *world) {
		monitor := w.listen(w.self(), "gdbus", "monitor", w.busFlag("gdbus"), "--dest", lab.BusName)
		monitor.await("is owned by")
		if w.bus.Type == lab.SystemBus {
			want(t, w.gdbus("call", "--object-path", rootPath, "--method", "org.kcmd.KCM1.Manager.SubscribeProcess",
				pid(monitor), "{}"), `^\(uint32 1,\)`)
		}
		w.must(w.self(), "kinit", "alice")
		monitor.await(`InterfacesAdded .*alice@KCMD\.TEST`)
		monitor.await(`Cache\.TicketsAdded .*krbtgt/KCMD\.TEST`)
		cache := w.cachePath("alice")
		want(t, w.gdbus("introspect", "--object-path", cache), "interface org.kcmd.KCM1.Cache", `readonly s State = 'valid'`, `TicketExpired\(a\{sv\} ticket\)`)
		want(t, w.gdbus("introspect", "--recurse", "--only-properties", "--object-path", rootPath), "node "+cache, "Subscribed")
		want(t, w.gdbus("call", "--object-path", cache, "--method", "org.freedesktop.DBus.Properties.Get", "org.kcmd.KCM1.Cache", "Name"), `<'KCM:`)
		w.gdbus("call", "--object-path", cache, "--method", "org.kcmd.KCM1.Cache.RemoveTickets", "['x']")
		w.gdbus("call", "--object-path", cache, "--method", "org.kcmd.KCM1.Cache.Destroy")
		monitor.await("InterfacesRemoved .*" + cache)
	})
}

// TestLiveXML: what Introspect answers is valid by the DTD of D-Bus.
func TestLiveXML(t *testing.T) {
	const dtd = "/usr/share/xml/dbus-1/introspect.dtd"
	lab.Need(t, "xmllint")
	if _, err := os.Stat(dtd); err != nil {
		lab.SkipMissing(t, "needs package libdbus-1-dev: ", err)
	}
	w := newWorld(t, lab.SessionBus)
	w.must(w.self(), "kinit", "alice")
	cache := w.cachePath("alice")
	for _, path := range []string{"/", "/org", rootPath, rootPath + "/user", collectionPath(w.self()), filepath.Dir(cache), cache} {
		xml := w.gdbus("introspect", "--xml", "--object-path", path)
		file := filepath.Join(t.TempDir(), "live.xml")
		if err := os.WriteFile(file, []byte(xml), 0o644); err != nil {
			t.Fatal(err)
		}
		w.must(os.Getuid(), "xmllint", "--noout", "--nonet", "--dtdvalid", dtd, file)
	}
	files, err := filepath.Glob(filepath.Join("..", "..", "introspection", "*.xml"))
	if err != nil || len(files) == 0 {
		t.Fatal("no files of ours: ", err)
	}
	for _, file := range files {
		file, err := filepath.Abs(file)
		if err != nil {
			t.Fatal(err)
		}
		w.must(os.Getuid(), "xmllint", "--noout", "--nonet", "--dtdvalid", dtd, file)
	}
}
