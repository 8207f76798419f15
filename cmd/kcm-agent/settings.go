package main

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"kcmd.org/kcmd/cmd/kcm-agent/prompt"
	"kcmd.org/kcmd/cmd/kcm-agent/show"
)

// settings are the choices of the user.
type settings struct {
	show.Settings
	icon          bool
	notifications bool
	dialog        string // "" for that of the desktop
}

func configPath() string {
	dir, err := os.UserConfigDir()
	if err != nil {
		return ""
	}
	return filepath.Join(dir, "kcm-agent.conf")
}

// readSettings reads a file with a line "name = value" for each setting. A file that
// does not exist has none, unless the user named it.
func readSettings(path string, named bool) (settings, error) {
	s := settings{Settings: show.Defaults(), icon: true, notifications: true}
	file, err := os.Open(path)
	if !named && (errors.Is(err, fs.ErrNotExist) || path == "") {
		return s, nil
	}
	if err != nil {
		return s, fmt.Errorf("cannot read the settings: %w", err)
	}
	defer file.Close()
	lines := bufio.NewScanner(file)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, _ := strings.Cut(line, "=")
		if err := s.set(strings.TrimSpace(name), strings.TrimSpace(value)); err != nil {
			return s, fmt.Errorf("%s:%d: %w", path, n, err)
		}
	}
	return s, lines.Err()
}

func (s *settings) set(name, value string) (err error) {
	switch name {
	case "icon":
		s.icon, err = yesOrNo(name, value)
	case "notifications":
		s.notifications, err = yesOrNo(name, value)
	case "warn":
		s.Warnings = nil
		for word := range strings.FieldsSeq(value) {
			d, err := time.ParseDuration(word)
			if err != nil || d <= 0 {
				return fmt.Errorf("%s: %q is not allowed; allowed: durations in h, m and s, such as 15m 5m", name, word)
			}
			s.Warnings = append(s.Warnings, d)
		}
	case "warn-password":
		s.Password, err = time.ParseDuration(value)
		if err != nil || s.Password < 0 {
			return fmt.Errorf("%s: %q is not allowed; allowed: a duration in h, m and s, such as 168h, or 0", name, value)
		}
	case "dialog":
		if !slices.Contains([]string{prompt.GNOME, prompt.KDialog, prompt.Zenity}, value) {
			return fmt.Errorf("%s: %q is not allowed; allowed: gnome, kdialog, zenity", name, value)
		}
		s.dialog = value
	default:
		return fmt.Errorf("%q is not allowed; allowed: icon, notifications, warn, warn-password, dialog", name)
	}
	return err
}

func yesOrNo(name, value string) (bool, error) {
	if value != "yes" && value != "no" {
		return false, fmt.Errorf("%s: %q is not allowed; allowed: yes, no", name, value)
	}
	return value == "yes", nil
}
