package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestSettingsRefused has files that say what is not allowed, and one that is not there.
func TestSettingsRefused(t *testing.T) {
	dir := t.TempDir()
	missing := filepath.Join(dir, "missing")
	if _, err := readSettings(missing, false); err != nil {
		t.Errorf("without a file: %v", err)
	}
	if _, err := readSettings(missing, true); err == nil || !strings.Contains(err.Error(), missing) {
		t.Errorf("a file that the user named and that is not there: %v", err)
	}
	for text, want := range map[string]string{
		"warn = 7d":                `:1: warn: "7d" is not allowed; allowed: durations in h, m and s`,
		"warn = 0s":                `:1: warn: "0s" is not allowed; allowed: durations in h, m and s`,
		"# a\nwarn-password = -1h": `:2: warn-password: "-1h" is not allowed; allowed: a duration in h, m and s`,
		"icon = 1":                 `:1: icon: "1" is not allowed; allowed: yes, no`,
		"dialog = xterm":           `:1: dialog: "xterm" is not allowed; allowed: gnome, kdialog, zenity`,
		"colour = red":             `:1: "colour" is not allowed; allowed: icon, notifications, warn, warn-password, dialog`,
		"icon":                     `:1: icon: "" is not allowed`,
	} {
		path := filepath.Join(dir, "conf")
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := readSettings(path, true); err == nil || !strings.Contains(err.Error(), path+want) {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
