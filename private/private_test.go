package private_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/private"
)

// check fails the test unless err contains want; "" stands for no error.
func check(t *testing.T, what string, err error, want string) {
	t.Helper()
	if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
		t.Errorf("%s: got %v, want %q", what, err, want)
	}
}

func TestCheckFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	self := os.Geteuid()
	for _, tt := range []struct {
		mode   os.FileMode
		others os.FileMode
		want   string
	}{
		{0o600, 0o077, ""},
		{0o400, 0o077, ""},
		{0o440, 0o077, "others may use it (mode 0440, allowed is 0600 or less)"},
		{0o440, 0o007, ""},
		{0o604, 0o007, "others may use it (mode 0604"},
	} {
		if err := f.Chmod(tt.mode); err != nil {
			t.Fatal(err)
		}
		check(t, tt.mode.String(), private.CheckFile(f, tt.others, self), tt.want)
	}
	if err := f.Chmod(0o600); err != nil {
		t.Fatal(err)
	}
	check(t, "another owner", private.CheckFile(f, 0o077, self+2, self+1, self+2), "; allowed: ")
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	check(t, "directory", private.CheckFile(dir, 0, self), "it is not a regular file")
}

func TestCheckDirectory(t *testing.T) {
	defer unix.Umask(unix.Umask(0))
	above, err := filepath.EvalSymlinks(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(above, "dir")
	for _, tt := range []struct {
		above, dir os.FileMode
		want       string
	}{
		{0o755, 0o700, ""},
		{0o755, 0o755, ""},
		{0o755, 0o770, "others may write to directory " + dir + " (mode 0770, allowed is 0700 to 0755)"},
		{0o755, 0o777 | os.ModeSticky, "others may write to directory " + dir},
		{0o777 | os.ModeSticky, 0o700, ""},
		{0o777, 0o700, "others may write to directory " + above + " above it (mode 0777 without the sticky bit"},
	} {
		if err := os.Chmod(above, tt.above); err != nil {
			t.Fatal(err)
		}
		os.Remove(dir)
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, tt.dir); err != nil {
			t.Fatal(err)
		}
		check(t, tt.above.String()+" "+tt.dir.String(), private.CheckDirectory(dir), tt.want)
	}
	check(t, "missing", private.CheckDirectory(filepath.Join(above, "none")), "no such file")
}
