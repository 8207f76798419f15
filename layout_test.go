// Package kcmd_test compares the source with its documentation: which package may
// import which, what each package comment lists, and the names in HACKING.md.
package kcmd_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "kcmd.org/kcmd"

// mayImport lists the rooms of ours that each room may import; its tests may
// import anything. Imports point one way:
//
//	{clock, ccache, trim} <- ccstore <- {kcmserver, dbus, lifecycle} <- cmd
var mayImport = map[string][]string{
	"budget":               {},
	"safetext":             {},
	"ccstore/ccache":       {},
	"clock":                {},
	"clock/clocktest":      {"clock"},
	"ccstore":              {"ccstore/ccache", "clock", "trim"},
	"ccstore/memory":       {"ccstore"},
	"ccstore/seal":         {},
	"ccstore/checksum":     {},
	"ccstore/sqlite":       {"ccstore", "ccstore/ccache", "ccstore/seal", "ccstore/checksum", "flock", "private"},
	"ccstore/describe":     {"ccstore", "ccstore/ccache", "safetext"},
	"ccstore/ccfile":       {"ccstore/ccache"},
	"ccstore/cckeyring":    {"ccstore/ccache"},
	"ccstore/ccsssd":       {"ccstore/ccache"},
	"ccstore/keyring":      {"ccstore", "ccstore/ccache", "ccstore/cckeyring", "clock"},
	"ccstore/storetest":    {"ccstore", "ccstore/ccache", "clock/clocktest"},
	"lifecycle":            {"budget", "ccstore", "ccstore/ccache", "clock", "lifecycle/kdc", "ratelog"},
	"lifecycle/kdc":        {"ccstore/ccache"},
	"lifecycle/kdc/helper": {"ccstore/ccache", "flock", "lifecycle/kdc", "safetext"},
	"lifecycle/logind":     {},
	"lifecycle/systemd":    {},
	"kcmserver/kcm":        {"ccstore/ccache"},
	"kcmserver/selinux":    {},
	"kcmserver":            {"budget", "ccstore", "ccstore/ccache", "kcmserver/kcm", "kcmserver/selinux", "ratelog", "trim", "userns"},
	"kcmserver/kcm/client": {"ccstore/ccache", "kcmserver/kcm"},
	"ratelog":              {},
	"trim":                 {},
	"userns":               {},
	"flock":                {},
	"private":              {"userns"},
	"introspection":        {},
	"dbus/guard":           {"introspection", "ratelog"},
	"dbus/view":            {"ccstore", "ccstore/ccache", "introspection", "safetext"},
	"dbus/link":            {"budget", "introspection", "safetext", "dbus/guard", "dbus/view"},
	"dbus/client":          {},
	"dbus":                 {"budget", "ccstore", "clock", "introspection", "dbus/link", "dbus/view", "ratelog"},
	"cmd/kcmd":             {"budget", "flock", "private", "ccstore", "ccstore/cckeyring", "ccstore/describe", "ccstore/keyring", "ccstore/memory", "ccstore/sqlite", "kcmserver", "kcmserver/selinux", "dbus", "lifecycle", "lifecycle/kdc", "lifecycle/kdc/helper", "lifecycle/logind", "lifecycle/systemd", "safetext", "clock", "clock/clocktest", "kcmserver/kcm", "kcmserver/kcm/client", "version"},
	"cmd/kcmctl":           {"ccstore/cckeyring", "cmd/kcmctl/doctor", "cmd/kcmctl/render", "cmd/kcmctl/transfer", "cmd/words", "dbus/client", "safetext", "secret", "version"},
	"cmd/kcmctl/transfer":  {"ccstore/ccache", "ccstore/ccfile", "ccstore/cckeyring", "ccstore/ccsssd", "kcmserver/kcm", "kcmserver/kcm/client"},
	"cmd/kcmctl/doctor":    {"kcmserver/kcm", "kcmserver/kcm/client"},
	"cmd/kcmctl/render":    {"cmd/words", "cmd/kcmctl/doctor", "cmd/kcmctl/transfer", "ccstore/ccache", "dbus/client", "safetext"},
	"cmd/kcm-agent":        {"cmd/kcm-agent/link", "cmd/kcm-agent/lock", "cmd/kcm-agent/notify", "cmd/kcm-agent/prompt", "cmd/kcm-agent/show", "cmd/kcm-agent/tray", "cmd/words", "dbus/client", "secret", "version"},
	"cmd/kcm-agent/show":   {"cmd/words", "dbus/client"},
	"cmd/kcm-agent/link":   {"dbus/client"},
	"cmd/kcm-agent/tray":   {"cmd/kcm-agent/show"},
	"cmd/kcm-agent/notify": {"cmd/kcm-agent/show"},
	"cmd/kcm-agent/lock":   {},
	"cmd/kcm-agent/prompt": {"cmd/kcm-agent/prompt/exchange", "dbus/client", "safetext", "secret"},
	"cmd/words":            {},
	"secret":               {},
	"version":              {},
	"tests/system":         {"tests/lab", "kcmserver/kcm", "ccstore/ccache"},
	"tests/lab":            {},
	"tests/cmd/bench":      {"tests/lab", "ccstore/ccache", "kcmserver/kcm", "kcmserver/kcm/client"},
	"tests/cmd/report":     {},
	"tests/cmd/soak":       {"budget", "tests/lab", "tests/model", "kcmserver/kcm", "kcmserver/kcm/client", "ccstore/ccache", "ccstore", "ccstore/sqlite"},
	"tests/model":          {"kcmserver/kcm", "kcmserver/kcm/client", "ccstore/ccache"},
	"tests/cmd/ask":        {"cmd/kcm-agent/prompt"},
	"tests/cmd/demo":       {"tests/lab"},

	"cmd/kcm-agent/prompt/exchange":              {"secret"},
	"cmd/kcm-agent/prompt/exchange/exchangetest": {},
}

// onlyIn lists modules that few rooms hide from the others. dbus/view has of
// godbus only the types of object paths and variants, tests/lab only the messages.
var onlyIn = map[string][]string{
	"github.com/godbus/dbus/v5": {"dbus/link", "dbus/view", "dbus/client", "lifecycle/logind", "lifecycle/systemd", "tests/lab", "cmd/kcm-agent", "cmd/kcm-agent/tray", "cmd/kcm-agent/notify", "cmd/kcm-agent/lock", "cmd/kcm-agent/prompt"},
	"modernc.org/sqlite":        {"ccstore/sqlite"},
	"modernc.org/libc":          {"ccstore/sqlite"},
}

// A room is a folder with Go files that are not tests.
type room struct {
	files    []string // without doc.go
	comments []string // package comments
	imports  map[string]bool
}

func rooms(t *testing.T) map[string]*room {
	t.Helper()
	found := make(map[string]*room)
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && name != "." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "vendor" || isBuildDir(file)) {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") || strings.HasSuffix(name, "_test.go") {
			return nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly|parser.ParseComments)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(file))
		if found[dir] == nil {
			found[dir] = &room{imports: make(map[string]bool)}
		}
		if name != "doc.go" {
			found[dir].files = append(found[dir].files, name)
		}
		found[dir].add(t, f)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(found) == 0 {
		t.Fatal("there are no rooms")
	}
	return found
}

// isBuildDir reports whether dir is one that meson made.
func isBuildDir(dir string) bool {
	_, err := os.Stat(filepath.Join(dir, "meson-private"))
	return err == nil
}

func (r *room) add(t *testing.T, f *ast.File) {
	if f.Doc != nil {
		r.comments = append(r.comments, f.Doc.Text())
	}
	for _, spec := range f.Imports {
		p, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		r.imports[p] = true
		if p == "github.com/godbus/dbus/v5" && (spec.Name == nil || spec.Name.Name != "godbus") {
			t.Errorf("%s must be imported as godbus", p)
		}
	}
}

func TestImports(t *testing.T) {
	for dir, r := range rooms(t) {
		allowed, known := mayImport[dir]
		if !known {
			t.Errorf("%s is not in the plan: say what it may import", dir)
			continue
		}
		for p := range r.imports {
			if only, hidden := onlyIn[p]; hidden && !slices.Contains(only, dir) {
				t.Errorf("%s imports %s, allowed only in %v", dir, p, only)
			}
			ours, ok := strings.CutPrefix(p, module+"/")
			if ok && !slices.Contains(allowed, ours) {
				t.Errorf("%s imports %s, allowed are %v", dir, ours, allowed)
			}
			if slices.Contains([]string{"internal", "util", "common", "types"}, path.Base(ours)) {
				t.Errorf("%s imports %s, whose name says nothing", dir, ours)
			}
		}
	}
}

func TestPackageComments(t *testing.T) {
	for dir, r := range rooms(t) {
		if n := len(r.comments); n != 1 {
			t.Errorf("%s has %d package comments, want one", dir, n)
		}
	}
}

var fileName = regexp.MustCompile(`\b[a-z_0-9]+\.go\b`)

// TestReadingOrder compares the files that the comment of a package lists with those
// that exist.
func TestReadingOrder(t *testing.T) {
	for dir, r := range rooms(t) {
		listed := fileName.FindAllString(strings.Join(r.comments, "\n"), -1)
		for _, name := range r.files {
			if len(r.files) > 1 && !slices.Contains(listed, name) {
				t.Errorf("the package comment of %s does not list %s", dir, name)
			}
		}
		for _, name := range listed {
			if !slices.Contains(r.files, name) {
				t.Errorf("the package comment of %s lists %s, which does not exist", dir, name)
			}
		}
	}
}

// quoted is a file, with or without its folder, or a name in HACKING.md.
var quoted = regexp.MustCompile("`([A-Za-z_0-9/]+(?:\\.go)?)`")

// TestWays looks for the files of the two ways through the rooms in HACKING.md, and in
// the files of each step for the names in that step.
func TestWays(t *testing.T) {
	text, err := os.ReadFile("HACKING.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, title := range []string{"A request, from the socket to COMMIT:", "A change, from COMMIT to a D-Bus signal:"} {
		_, way, found := strings.Cut(string(text), title+"\n\n")
		way, _, _ = strings.Cut(way, "\n\n")
		steps := regexp.MustCompile(`(?m)^\d+\. `).Split(way, -1)[1:]
		if !found || len(steps) < 5 {
			t.Fatalf("HACKING.md has no way %q with five or more steps", title)
		}
		for _, step := range steps {
			var names []string
			declared := make(map[string]bool)
			dir := ""
			for _, match := range quoted.FindAllStringSubmatch(step, -1) {
				if !strings.HasSuffix(match[1], ".go") {
					names = append(names, match[1])
					continue
				}
				if d, _ := path.Split(match[1]); d != "" {
					dir = d
				}
				declare(t, path.Join(dir, path.Base(match[1])), declared)
			}
			for _, name := range names {
				if !declared[name] {
					t.Errorf("the files of this step do not declare %s: %s", name, step)
				}
			}
		}
	}
}

// declare adds the functions, methods, types, variables and constants of a file.
func declare(t *testing.T, file string, declared map[string]bool) {
	t.Helper()
	f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.SkipObjectResolution)
	if err != nil {
		t.Error(err)
		return
	}
	for _, decl := range f.Decls {
		switch d := decl.(type) {
		case *ast.FuncDecl:
			declared[d.Name.Name] = true
		case *ast.GenDecl:
			for _, spec := range d.Specs {
				switch s := spec.(type) {
				case *ast.TypeSpec:
					declared[s.Name.Name] = true
				case *ast.ValueSpec:
					for _, name := range s.Names {
						declared[name.Name] = true
					}
				}
			}
		}
	}
}
