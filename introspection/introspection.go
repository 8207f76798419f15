// Package introspection holds the D-Bus interfaces of kcmd. Its XML files are
// the contract: they are installed for clients, embedded here, served by the
// daemon, and what the daemon does is checked against them.
//
// It is a leaf: it imports nothing of kcmd's and knows no bus.
//
// Files, in the order in which to read them: introspection.go, standard.go (the
// interfaces of the D-Bus specification and of systemd).
//
// Reference: D-Bus specification, "Introspection Data Format".
package introspection

import (
	_ "embed"
	"encoding/xml"
	"fmt"
	"regexp"
	"strings"
)

//go:embed org.kcmd.KCM1.Manager.xml
var managerXML string

//go:embed org.kcmd.KCM1.Collection.xml
var collectionXML string

//go:embed org.kcmd.KCM1.Cache.xml
var cacheXML string

// The interfaces of kcmd's own.
var (
	Manager    = mustParse(managerXML)
	Collection = mustParse(collectionXML)
	Cache      = mustParse(cacheXML)
)

// An Interface is what a file declares.
type Interface struct {
	Name       string     `xml:"name,attr"`
	Methods    []Method   `xml:"method"`
	Signals    []Signal   `xml:"signal"`
	Properties []Property `xml:"property"`

	// XML is the interface element as Introspect answers it, indented by one
	// level and without the comments, which are for readers of the file.
	XML string `xml:"-"`
}

// A Method is a method of an interface.
type Method struct {
	Name        string       `xml:"name,attr"`
	Args        []Arg        `xml:"arg"`
	Annotations []Annotation `xml:"annotation"`
}

// A Signal is a signal of an interface.
type Signal struct {
	Name        string       `xml:"name,attr"`
	Args        []Arg        `xml:"arg"`
	Annotations []Annotation `xml:"annotation"`
}

// An Arg is an argument of a method or a signal.
type Arg struct {
	Name      string `xml:"name,attr"`
	Type      string `xml:"type,attr"`
	Direction string `xml:"direction,attr"` // of a method's: "in", "out"
}

// A Property is a property of an interface.
type Property struct {
	Name        string       `xml:"name,attr"`
	Type        string       `xml:"type,attr"`
	Access      string       `xml:"access,attr"`
	Annotations []Annotation `xml:"annotation"`
}

// An Annotation says something about the element that holds it.
type Annotation struct {
	Name  string `xml:"name,attr"`
	Value string `xml:"value,attr"`
}

// In returns the signature of m's arguments.
func (m *Method) In() string { return signature(m.Args, "in") }

// Out returns the signature of m's results.
func (m *Method) Out() string { return signature(m.Args, "out") }

// Signature returns the signature of s's arguments.
func (s *Signal) Signature() string { return signature(s.Args, "") }

func signature(args []Arg, direction string) string {
	var s strings.Builder
	for _, a := range args {
		if a.Direction == direction {
			s.WriteString(a.Type)
		}
	}
	return s.String()
}

// EmitsChanged returns what the property's annotation EmitsChangedSignal says:
// "true" (also by default), "invalidates", "const" or "false".
func (p *Property) EmitsChanged() string {
	for _, a := range p.Annotations {
		if a.Name == "org.freedesktop.DBus.Property.EmitsChangedSignal" {
			return a.Value
		}
	}
	return "true"
}

// Method returns the method of that name, or nil.
func (i *Interface) Method(name string) *Method {
	for k := range i.Methods {
		if i.Methods[k].Name == name {
			return &i.Methods[k]
		}
	}
	return nil
}

// Property returns the property of that name, or nil.
func (i *Interface) Property(name string) *Property {
	for k := range i.Properties {
		if i.Properties[k].Name == name {
			return &i.Properties[k]
		}
	}
	return nil
}

// mustParse parses a file that declares one interface. It panics if it cannot:
// the files are part of the program.
func mustParse(file string) *Interface {
	var node struct {
		Interfaces []*Interface `xml:"interface"`
	}
	if err := xml.Unmarshal([]byte(file), &node); err != nil {
		panic("introspection: " + err.Error())
	}
	if len(node.Interfaces) != 1 {
		panic(fmt.Sprintf("introspection: a file with %d interfaces", len(node.Interfaces)))
	}
	i := node.Interfaces[0]
	i.XML = element(file)
	return i
}

var comment = regexp.MustCompile(`(?s)[ \t]*<!--.*?-->\n?`)

// element returns the interface element of file without comments and blank lines.
func element(file string) string {
	file = comment.ReplaceAllString(file, "")
	start := strings.Index(file, "  <interface")
	end := strings.Index(file, "</interface>\n") + len("</interface>\n")
	var out strings.Builder
	for line := range strings.Lines(file[start:end]) {
		if strings.TrimSpace(line) != "" {
			out.WriteString(line)
		}
	}
	return out.String()
}
