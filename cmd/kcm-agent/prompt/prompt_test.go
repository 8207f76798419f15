package prompt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/secret"
)

// install installs a dialog that is a script, alone in PATH, and returns its folder.
func install(t *testing.T, name, script string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nPATH=/usr/bin:/bin\ndir="+dir+"\n"+script), 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", dir)
	t.Setenv("DISPLAY", ":77")
	t.Setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path="+filepath.Join(dir, "no-bus"))
	return dir
}

func name(d Dialog) string {
	p, _ := d.(program)
	return p.name
}

func find(t *testing.T) Dialog {
	t.Helper()
	d, err := Find(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestFind(t *testing.T) {
	install(t, "zenity", "")
	t.Setenv("XDG_CURRENT_DESKTOP", "KDE")
	if d, err := Find(t.Context(), ""); err != nil || name(d) != "zenity" {
		t.Errorf("with zenity alone: %v, %v", d, err)
	}
	if err := os.WriteFile(filepath.Join(os.Getenv("PATH"), "kdialog"), []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for desktop, want := range map[string]string{"KDE": "kdialog", "ubuntu:GNOME": "zenity", "": "zenity"} {
		t.Setenv("XDG_CURRENT_DESKTOP", desktop)
		if d, err := Find(t.Context(), ""); err != nil || name(d) != want {
			t.Errorf("on %q: %v, %v; want %s", desktop, d, err, want)
		}
	}
	if d, err := Find(t.Context(), "kdialog"); err != nil || name(d) != "kdialog" {
		t.Errorf("by name: %v, %v", d, err)
	}
	t.Setenv("PATH", t.TempDir())
	if _, err := Find(t.Context(), ""); !errors.Is(err, ErrNoDialog) {
		t.Errorf("without a program: %v", err)
	}
}

func TestPassword(t *testing.T) {
	for _, c := range []struct {
		name, script, password string
		err                    error
	}{
		{"typed", "echo 's3cret |x'", "s3cret |x", nil},
		{"blanks", "echo ' a '", " a ", nil},
		{"empty", "echo", "", nil},
		{"no line", "", "", nil},
		{"cancelled", "exit 1", "", ErrCancelled},
		{"cancelled after text", "echo s3cret; exit 1", "", ErrCancelled},
		{"cancelled in kdialog", "exit 2", "", ErrCancelled},
		{"longest", fmt.Sprintf("printf '%%%ds\\n' x", secret.MaxPassword), strings.Repeat(" ", secret.MaxPassword-1) + "x", nil},
		{"too long", fmt.Sprintf("printf '%%%ds\\n' x", secret.MaxPassword+1), "", secret.ErrTooLong},
		{"a lot", "head -c 1000000 /dev/zero", "", secret.ErrTooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			install(t, "zenity", c.script)
			got, err := find(t).Password(t.Context(), Question{Title: "title", Text: "text"})
			if string(got) != c.password || !errors.Is(err, c.err) || c.err == nil && err != nil {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.password, c.err)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	install(t, "zenity", "echo s3cret; echo s3cret >&2; exit 255")
	_, err := find(t).Password(t.Context(), Question{Title: "title", Text: "text"})
	if err == nil || errors.Is(err, ErrCancelled) || strings.Contains(err.Error(), "s3cret") {
		t.Errorf("a failed program: %v", err)
	}
	install(t, "zenity", "exit 1")
	t.Setenv("DISPLAY", "")
	t.Setenv("WAYLAND_DISPLAY", "")
	if _, err := find(t).Password(t.Context(), Question{Title: "title", Text: "text"}); !errors.Is(err, ErrNoDisplay) {
		t.Errorf("without a display: %v", err)
	}
}

// TestContext ends a dialog, and a child of it that holds its output.
func TestContext(t *testing.T) {
	dir := install(t, "zenity", "sleep 1000 & echo $! >$dir/fifo; wait")
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = os.ReadFile(fifo) // returns when it runs
		cancel()
	}()
	if _, err := find(t).Password(ctx, Question{Title: "title", Text: "text"}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestNewPassword(t *testing.T) {
	for _, c := range []struct {
		name, answers string // one line for each dialog, "!" cancels
		password      string
		err           error
		asked         []string
	}{
		{"same", "new\nnew", "new", nil, []string{"New:", "again:"}},
		{"differ", "new\nnww\nold\nold", "old", nil, []string{"New:", "again:", "not the same", "again:"}},
		{"empty", "\nnew\nnew", "new", nil, []string{"New:", "cannot be empty", "again:"}},
		{"cancelled", "!", "", ErrCancelled, []string{"New:"}},
		{"cancelled later", "new\n!", "", ErrCancelled, []string{"New:", "again:"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := install(t, "zenity", `echo "$*" >>$dir/asked
answer=$(head -n 1 $dir/answers); sed -i 1d $dir/answers
[ "$answer" != "!" ] || exit 1
echo "$answer"`)
			if err := os.WriteFile(filepath.Join(dir, "answers"), []byte(c.answers+"\n"), 0o600); err != nil {
				t.Fatal(err)
			}
			got, err := find(t).NewPassword(t.Context(), Question{Title: "title", Text: "New:"})
			if string(got) != c.password || !errors.Is(err, c.err) {
				t.Errorf("got %q, %v; want %q, %v", got, err, c.password, c.err)
			}
			text, err := os.ReadFile(filepath.Join(dir, "asked"))
			if err != nil {
				t.Fatal(err)
			}
			asked := strings.Split(strings.TrimSpace(string(text)), "\n")
			if len(asked) != len(c.asked) {
				t.Fatalf("asked %q, want %q", asked, c.asked)
			}
			for i, want := range c.asked {
				if !strings.HasSuffix(asked[i], want) && !strings.Contains(asked[i], want) {
					t.Errorf("asked %q, want %q", asked[i], want)
				}
			}
		})
	}
}

func TestArguments(t *testing.T) {
	const hostile = "a_b&<b>\\n\x1b\u202e\nc"
	for _, c := range []struct {
		program string
		kind    kind
		want    []string
	}{
		{"zenity", password, []string{"--entry", "--hide-text", "--title=-t", `--text=a__b&<b>\\n\\x1B\\xE2\\x80\\xAE` + "\nc"}},
		{"zenity", line, []string{"--entry", "--title=-t", `--text=a__b&<b>\\n\\x1B\\xE2\\x80\\xAE` + "\nc", "--entry-text=-o"}},
		{"zenity", message, []string{"--info", "--title=-t", "--text=a_b&amp;&lt;b&gt;&#92;n&#92;x1B&#92;xE2&#92;x80&#92;xAE\nc"}},
		{"/usr/bin/kdialog", password, []string{"--title=-t", "--password=<qt>a_b&amp;&lt;b&gt;&#92;n&#92;x1B&#92;xE2&#92;x80&#92;xAE<br>c</qt>"}},
		{"kdialog", line, []string{"--title=-t", "--inputbox=<qt>a_b&amp;&lt;b&gt;&#92;n&#92;x1B&#92;xE2&#92;x80&#92;xAE<br>c</qt>", "--", "-o"}},
		{"kdialog", message, []string{"--title=-t", "--msgbox=<qt>a_b&amp;&lt;b&gt;&#92;n&#92;x1B&#92;xE2&#92;x80&#92;xAE<br>c</qt>"}},
	} {
		if got := (program{c.program}).arguments(c.kind, "-t", hostile, "-o"); !slices.Equal(got, c.want) {
			t.Errorf("%s %d:\n got %q\nwant %q", c.program, c.kind, got, c.want)
		}
	}
	long := strings.Repeat(strings.Repeat("&", 10000)+"\n", 100)
	for _, a := range (program{"kdialog"}).arguments(message, long, long, long) {
		if len(a) > 60000 {
			t.Errorf("an argument of %d bytes", len(a))
		}
	}
	if n := strings.Count(plain(long), "\n"); n != maxLines {
		t.Errorf("%d lines, want %d", n, maxLines)
	}
}

func TestEnvironment(t *testing.T) {
	for _, c := range []struct{ env, want []string }{
		{[]string{"LANG=de_DE.UTF-8"}, []string{"LANG=de_DE.UTF-8"}},
		{[]string{"LANG=de_DE.utf8", "ZENITY_CANCEL=0"}, []string{"LANG=de_DE.utf8"}},
		{[]string{"LANG=C.UTF-8", "LC_ALL=C"}, []string{"LANG=C.UTF-8", "LC_ALL=C", "LC_ALL=C.UTF-8"}},
		{nil, []string{"LC_ALL=C.UTF-8"}},
	} {
		if got := environment(c.env); !slices.Equal(got, c.want) {
			t.Errorf("of %q: %q, want %q", c.env, got, c.want)
		}
	}
}
