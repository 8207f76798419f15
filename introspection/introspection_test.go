package introspection

import (
	"encoding/xml"
	"errors"
	"io"
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
