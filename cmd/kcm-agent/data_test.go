package main

import (
	"bufio"
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"kcmd.org/kcmd/cmd/kcm-agent/show"
	"kcmd.org/kcmd/tests/lab"
)

// The files beside the program name it, its bus name and each other.

const data = "../../data/"

func read(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("../..", path))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// entry reads a desktop file.
func entry(t *testing.T, path string) map[string]string {
	t.Helper()
	keys := make(map[string]string)
	lines := bufio.NewScanner(strings.NewReader(read(t, path)))
	for lines.Scan() {
		if key, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(key, "#") {
			keys[key] = value
		}
	}
	return keys
}

func TestDesktopFiles(t *testing.T) {
	name := agentName + ".desktop"
	for path, command := range map[string]string{
		"data/desktop/" + name: "kcm-agent --sign-in", "data/desktop/autostart/" + name: "kcm-agent",
	} {
		e := entry(t, path)
		if e["Type"] != "Application" || e["Name"] == "" || e["Exec"] != command || e["TryExec"] != "kcm-agent" || e["Icon"] != agentName {
			t.Errorf("%s is %q", path, e)
		}
	}
	if _, err := os.Stat(data + "icons/hicolor/scalable/apps/" + agentName + ".svg"); err != nil {
		t.Error(err)
	}
}

func TestMetainfo(t *testing.T) {
	var m struct {
		ID         string `xml:"id"`
		Launchable string `xml:"launchable"`
		Icon       string `xml:"icon"`
		Releases   []struct {
			Version string `xml:"version,attr"`
		} `xml:"releases>release"`
	}
	if err := xml.Unmarshal([]byte(read(t, "data/desktop/"+agentName+".metainfo.xml")), &m); err != nil {
		t.Fatal(err)
	}
	version := regexp.MustCompile(`(?m)^  version: '(.*)',`).FindStringSubmatch(read(t, "meson.build"))
	if m.ID != agentName || m.Launchable != agentName+".desktop" || m.Icon != agentName || len(m.Releases) == 0 || version == nil || m.Releases[0].Version != version[1] {
		t.Errorf("it says %+v, and the version is %q", m, version)
	}
}

// Each state has an icon with a shape of its own, in the colour that a panel gives it.
func TestIcons(t *testing.T) {
	shapes := make(map[string]string)
	for _, icon := range []show.Icon{show.Quiet, show.None, show.Attention, show.Expired, show.Away} {
		name := "icons/hicolor/symbolic/apps/" + string(icon) + "-symbolic.svg"
		d := xml.NewDecoder(strings.NewReader(read(t, "data/"+name)))
		var shape string
		for {
			token, err := d.Token()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			e, ok := token.(xml.StartElement)
			if !ok {
				continue
			}
			has := make(map[string]string)
			for _, a := range e.Attr {
				has[a.Name.Local] = a.Value
			}
			switch e.Name.Local {
			case "svg":
				if has["viewBox"] != "0 0 16 16" {
					t.Errorf("%s has the size %q", name, has["viewBox"])
				}
			case "style":
				if has["id"] != "current-color-scheme" { // KDE replaces it
					t.Errorf("%s has the style %q", name, has["id"])
				}
			case "path":
				if has["class"] != "ColorScheme-Text" || has["fill"] != "currentColor" || has["stroke"] != "" { // GTK gives no stroke a colour
					t.Errorf("%s has a path with %q", name, has)
				}
				shape += has["d"]
			default:
				t.Errorf("%s has the element %s", name, e.Name.Local)
			}
		}
		if other := shapes[shape]; other != "" || shape == "" {
			t.Errorf("%s has the shape of %s", name, other)
		}
		shapes[shape] = name
	}
	found, err := filepath.Glob(data + "icons/hicolor/symbolic/apps/*.svg")
	if err != nil || len(found) != len(shapes) {
		t.Errorf("there are %d icons, and %d states (%v)", len(found), len(shapes), err)
	}
}

// The manual page has the settings and their defaults, and no other ones.
func TestManSettings(t *testing.T) {
	page := read(t, "data/man/kcm-agent.1")
	_, rest, ok := strings.Cut(page, ".It Pa ~/.config/"+filepath.Base(configPath())+"\n")
	if !ok {
		t.Fatalf("kcm-agent(1) does not name %s", configPath())
	}
	var names []string
	s := settings{}
	for _, m := range regexp.MustCompile(`(?m)^\.It ([a-z-]+) = (.*)$`).FindAllStringSubmatch(rest, -1) {
		names = append(names, m[1])
		if err := s.set(m[1], m[2]); err != nil {
			t.Error(err)
		}
	}
	_, allowed, _ := strings.Cut(s.set("", "").Error(), "allowed: ")
	if got := strings.Join(names, ", "); got != allowed {
		t.Errorf("kcm-agent(1) has the settings %s, allowed are %s", got, allowed)
	}
	d := show.Defaults()
	if !s.icon || !s.notifications || !slices.Equal(s.Warnings, d.Warnings) || s.Password != d.Password {
		t.Errorf("by kcm-agent(1) the defaults are %+v, and they are %+v", s, d)
	}
}

// Meson installs the files where desktops look, and none of them without the agent.
func TestInstalled(t *testing.T) {
	lab.Need(t, "meson", "ninja")
	if testing.Short() {
		t.Skip("-short: meson is not run")
	}
	want := []string{
		"/etc/xdg/autostart/org.kcmd.Agent.desktop",
		"/usr/bin/kcm-agent",
		"/usr/share/applications/org.kcmd.Agent.desktop",
		"/usr/share/dbus-1/services/org.kcmd.Agent.service",
		"/usr/share/icons/hicolor",
		"/usr/share/man/man1/kcm-agent.1",
		"/usr/share/metainfo/org.kcmd.Agent.metainfo.xml",
	}
	for agent, want := range map[string][]string{"true": want, "false": nil} {
		build := t.TempDir()
		if out, err := exec.Command("meson", "setup", "-Dagent="+agent, build, "../..").CombinedOutput(); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		out, err := exec.Command("meson", "introspect", "--installed", build).Output()
		if err != nil {
			t.Fatal(err)
		}
		installed := make(map[string]string)
		if err := json.Unmarshal(out, &installed); err != nil {
			t.Fatal(err)
		}
		got := slices.DeleteFunc(slices.Sorted(maps.Values(installed)), func(path string) bool {
			return !regexp.MustCompile(`kcm-agent|org\.kcmd\.Agent|/(xdg|applications|icons|metainfo)(/|$)`).MatchString(path)
		})
		if !slices.Equal(got, want) {
			t.Errorf("with -Dagent=%s these are installed: %q, want %q", agent, got, want)
		}
	}
}
