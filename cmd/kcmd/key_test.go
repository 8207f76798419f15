package main

import (
	"bytes"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// aKey is a key of random bytes.
var aKey = []byte("\x00\x01\xfe0123456789abcdefghijklmnopq\n\n")

func writeKey(t *testing.T, path string, data []byte, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoadKey(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	digits := []byte(hex.EncodeToString(aKey))
	writeKey(t, filepath.Join(dir, "raw"), aKey, 0o600)
	writeKey(t, filepath.Join(dir, "hex"), digits, 0o400)
	writeKey(t, filepath.Join(dir, "upper"), bytes.ToUpper(digits), 0o400)
	writeKey(t, filepath.Join(dir, "line"), append(digits, '\n'), 0o400)
	writeKey(t, filepath.Join(dir, "listed"), aKey, 0o440) // as systemd's access lists look
	if err := os.Symlink("raw", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"raw", "hex", "upper", "line", "listed", "link", dir + "/raw", dir + "/line", dir + "/link"} {
		if key, err := loadKey(name); err != nil || !bytes.Equal(key, aKey) {
			t.Errorf("%s: %d bytes, %v", name, len(key), err)
		}
	}
	if key, err := loadKey(""); key != nil || err != nil {
		t.Errorf("no key: %d bytes, %v", len(key), err)
	}
}

func TestBadKey(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	writeKey(t, path("group"), aKey, 0o440)
	writeKey(t, path("others"), aKey, 0o604)
	writeKey(t, path("short"), aKey[1:], 0o600)
	writeKey(t, path("long"), append(aKey[:32:32], '\n'), 0o600)
	writeKey(t, path("letters"), bytes.Repeat([]byte("x"), 64), 0o600)
	writeKey(t, path("lines"), append(bytes.Repeat([]byte("a"), 64), "\n\n"...), 0o600)
	writeKey(t, path("large"), bytes.Repeat([]byte("a"), 1<<20), 0o600)
	writeKey(t, path("empty"), nil, 0o600)
	if err := unix.Mkfifo(path("fifo"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("nothing", path("link")); err != nil {
		t.Fatal(err)
	}
	const form = "it is not a key; allowed: exactly 32 bytes, or 64 hexadecimal digits"
	tests := []struct{ name, want string }{
		{path("missing"), "open " + path("missing") + ": no such file or directory"},
		{path("link"), "open " + path("link") + ": no such file or directory"},
		{path("group"), "others may use it (mode 0440, allowed is 0600 or less)"},
		{path("others"), "others may use it (mode 0604, allowed is 0600 or less)"},
		{dir, "it is not a regular file"},
		{path("fifo"), "it is not a regular file"},
		{path("short"), form},
		{path("long"), form},
		{path("letters"), form},
		{path("lines"), form},
		{path("large"), form},
		{path("empty"), form},
		{"short", "systemd has passed no credentials (CREDENTIALS_DIRECTORY is not set); see LoadCredentialEncrypted= in systemd.exec(5)"},
	}
	if os.Geteuid() == 0 {
		writeKey(t, path("foreign"), aKey, 0o400)
		if err := os.Chown(path("foreign"), 1234, 0); err != nil {
			t.Fatal(err)
		}
		tests = append(tests, struct{ name, want string }{
			path("foreign"), "it belongs to uid 1234; allowed: 0",
		})
	}
	t.Setenv("CREDENTIALS_DIRECTORY", "")
	for _, tt := range tests {
		key, err := loadKey(tt.name)
		if want := "cannot use the key " + tt.name + ": " + tt.want; key != nil || err == nil || err.Error() != want {
			t.Errorf("%s:\n got %v\nwant %s", tt.name, err, want)
		}
	}
	t.Setenv("CREDENTIALS_DIRECTORY", dir)
	if _, err := loadKey("others"); err == nil || !strings.Contains(err.Error(), "others may use it") {
		t.Errorf("world-readable credential: %v", err)
	}
	if _, err := loadKey("absent"); err == nil || !strings.Contains(err.Error(), path("absent")) {
		t.Errorf("missing credential: %v", err)
	}
}
