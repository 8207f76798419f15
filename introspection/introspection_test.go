package introspection

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var ours = []*Interface{Manager, Collection, Cache}

// declared is what the DTD of the format allows: which elements an element may
// hold, and which attributes it has, those that must be there with a star.
var declared = map[string]struct{ in, attributes []string }{
	"node":       {[]string{"", "node"}, []string{"name"}},
	"interface":  {[]string{"node"}, []string{"name*"}},
	"method":     {[]string{"interface"}, []string{"name*"}},
	"signal":     {[]string{"interface"}, []string{"name*"}},
	"property":   {[]string{"interface"}, []string{"name*", "type*", "access*"}},
	"arg":        {[]string{"method", "signal"}, []string{"name", "type*", "direction"}},
	"annotation": {[]string{"interface", "method", "signal", "property", "arg"}, []string{"name*", "value*"}},
}

func files(t *testing.T) []string {
	t.Helper()
	names, err := filepath.Glob("org.kcmd.KCM1.*.xml")
	if err != nil || len(names) != len(ours) {
		t.Fatalf("%d files, %v", len(names), err)
	}
	return names
}

func TestValid(t *testing.T) {
	for _, name := range files(t) {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := valid(string(text)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, i := range append([]*Interface{Peer, Introspectable, Properties, ObjectManager, LogControl}, ours...) {
		if err := valid("<node>\n" + i.XML + "</node>\n"); err != nil {
			t.Errorf("%s as served: %v", i.Name, err)
		}
	}
}

// valid checks text against declared.
func valid(text string) error {
	dec := xml.NewDecoder(strings.NewReader(text))
	path := []string{""}
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		switch e := token.(type) {
		case xml.EndElement:
			path = path[:len(path)-1]
		case xml.StartElement:
			name := e.Name.Local
			if !slices.Contains(declared[name].in, path[len(path)-1]) {
				return errors.New("element " + name + " in " + path[len(path)-1])
			}
			path = append(path, name)
			for _, a := range e.Attr {
				if allowed := declared[name].attributes; !slices.Contains(allowed, a.Name.Local) && !slices.Contains(allowed, a.Name.Local+"*") {
					return errors.New("attribute " + a.Name.Local + " of " + name)
				}
			}
			for _, a := range declared[name].attributes {
				if a, must := strings.CutSuffix(a, "*"); must && !slices.ContainsFunc(e.Attr, func(b xml.Attr) bool { return b.Name.Local == a }) {
					return errors.New(name + " without " + a)
				}
			}
		}
	}
}

// TestDocumented: each element has a comment that begins with its name, each
// argument of a method is in that, and each property says how it is announced.
func TestDocumented(t *testing.T) {
	comments := regexp.MustCompile(`(?s)<!--\s*(.*?)-->\s*<(\w+) name="([\w.]+)"`)
	for k, name := range []string{"Manager", "Collection", "Cache"} {
		text, err := os.ReadFile("org.kcmd.KCM1." + name + ".xml")
		if err != nil {
			t.Fatal(err)
		}
		comment := make(map[string]string)
		for _, m := range comments.FindAllStringSubmatch(string(text), -1) {
			if !strings.HasPrefix(m[1], m[3]+":") {
				t.Errorf("%s: comment before %s %s begins otherwise", name, m[2], m[3])
			}
			comment[m[2]+" "+m[3]] = m[1]
		}
		i := ours[k]
		if comment["interface "+i.Name] == "" {
			t.Errorf("%s: no comment", i.Name)
		}
		for _, m := range i.Methods {
			for _, a := range m.Args {
				if !strings.Contains(comment["method "+m.Name], "@"+a.Name+":") {
					t.Errorf("%s.%s: nothing on %s", name, m.Name, a.Name)
				}
			}
			if comment["method "+m.Name] == "" {
				t.Errorf("%s.%s: no comment", name, m.Name)
			}
		}
		for _, s := range i.Signals {
			for _, a := range s.Args {
				if !strings.Contains(comment["signal "+s.Name], "@"+a.Name+":") {
					t.Errorf("%s.%s: nothing on %s", name, s.Name, a.Name)
				}
			}
		}
		for _, p := range i.Properties {
			if comment["property "+p.Name] == "" {
				t.Errorf("%s.%s: no comment", name, p.Name)
			}
			if len(p.Annotations) == 0 {
				t.Errorf("%s.%s does not say how it is announced", name, p.Name)
			}
		}
	}
}

func TestSignatures(t *testing.T) {
	m := Manager.Method("SubscribeProcess")
	if in, out := m.In(), m.Out(); in != "ua{sv}" || out != "u" {
		t.Errorf("SubscribeProcess(%s) %s", in, out)
	}
	if got := Cache.Signals[1].Signature(); got != "a(ss)s" {
		t.Errorf("TicketsRemoved(%s)", got)
	}
	if Manager.Method("Nothing") != nil || Manager.Property("Nothing") != nil {
		t.Error("Nothing is there")
	}
	if got := Collection.Property("BytesUsed").EmitsChanged(); got != "false" {
		t.Errorf("BytesUsed: %s", got)
	}
}

// qtTypes are the types of QtDBus for what qdbusxml2cpp knows no type for. They need
// no header of their own.
var qtTypes = map[string]string{
	"a{sv}":  "QVariantMap",
	"aa{sv}": "QList<QVariantMap>",
	"a(ss)":  "QList<QPair<QString,QString>>",
	"a(uo)":  "QList<QPair<uint,QDBusObjectPath>>",
}

// TestQtTypes: each argument has an annotation where qdbusxml2cpp, which ends without
// one, knows no type. It has those of signals in the place of results.
func TestQtTypes(t *testing.T) {
	const name = "org.qtproject.QtDBus.QtTypeName"
	known := strings.Fields("b y n q i u x t d s o g v h as ao ay av")
	for _, i := range ours {
		check := func(element string, args []Arg, annotations []Annotation) {
			want, got := make(map[string]string), make(map[string]string)
			in, out := 0, 0
			for _, a := range args {
				key := fmt.Sprintf("%s.Out%d", name, out)
				if a.Direction == "in" {
					key = fmt.Sprintf("%s.In%d", name, in)
					in++
				} else {
					out++
				}
				if slices.Contains(known, a.Type) {
					continue
				}
				if want[key] = qtTypes[a.Type]; want[key] == "" {
					t.Errorf("%s.%s: no Qt type for %s", i.Name, element, a.Type)
				}
			}
			for _, a := range annotations {
				if strings.HasPrefix(a.Name, name) {
					got[a.Name] = a.Value
				}
			}
			if !maps.Equal(want, got) {
				t.Errorf("%s.%s has the Qt types %v, want %v", i.Name, element, got, want)
			}
		}
		for _, m := range i.Methods {
			check(m.Name, m.Args, m.Annotations)
		}
		for _, s := range i.Signals {
			check(s.Name, s.Args, s.Annotations)
		}
		for _, p := range i.Properties {
			if !slices.Contains(known, p.Type) {
				t.Errorf("%s.%s: property of type %s", i.Name, p.Name, p.Type)
			}
		}
	}
}
