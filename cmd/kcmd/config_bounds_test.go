package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// overlong returns values of a megabyte, in the form that a setting allows.
func overlong() []string {
	const size = 1 << 20
	long := strings.Repeat("x", size)
	return []string{
		strings.Repeat("9", size), "/" + long, "sqlite:/" + long, "unix:path=/" + long, strings.Repeat("\x1b[31m", size/5),
	}
}

// refused checks the error for a value: one short line with the origin and the allowed
// values.
func refused(t *testing.T, err error, origin, allowed string) {
	t.Helper()
	if err == nil {
		t.Errorf("%s is accepted", origin)
		return
	}
	text := err.Error()
	if !strings.HasPrefix(text, origin+": ") || !strings.HasSuffix(text, " is not allowed; allowed: "+allowed) {
		t.Errorf("got %.300s\nwant %s and %s", text, origin, allowed)
	}
	if len(text) > 2000 || strings.ContainsAny(text, "\n\x1b\x00") {
		t.Errorf("an error of %d bytes: %.300q", len(text), text)
	}
}

// TestOverlongValues sets every setting to a megabyte, in a file, a variable and a flag.
func TestOverlongValues(t *testing.T) {
	_, file := clean(t)
	empty := filepath.Join(filepath.Dir(file), "empty.toml")
	writeFile(t, empty, "")
	for i := range settings {
		s := &settings[i]
		for _, value := range overlong() {
			_, err := read(t, "--config", empty, "--"+s.flag(), value)
			refused(t, err, "--"+s.flag(), s.allowed)

			writeFile(t, file, fmt.Sprintf("%s = %s", s.key, tomlQuoted(value)))
			_, err = read(t, "--config", file)
			refused(t, err, file+": "+s.key, s.allowed)

			t.Setenv(s.variable(), value)
			_, err = read(t, "--config", empty)
			refused(t, err, s.variable(), s.allowed)
			os.Unsetenv(s.variable())
		}
	}
	for name, key := range socketKeys {
		for _, value := range overlong() {
			writeFile(t, file, fmt.Sprintf("[[socket]]\n%s = %s", name, tomlQuoted(value)))
			_, err := read(t, "--config", file)
			refused(t, err, file+": socket[0]."+name, key.allowed)
		}
	}
}

// tomlQuoted quotes a string for TOML.
func tomlQuoted(s string) string { return `"` + strings.ReplaceAll(s, "\x1b", `\u001b`) + `"` }

// TestControlCharacters has control characters in paths and addresses.
func TestControlCharacters(t *testing.T) {
	_, file := clean(t)
	empty := filepath.Join(filepath.Dir(file), "empty.toml")
	writeFile(t, empty, "")
	for key, value := range map[string]string{"socket": "/run/a%sb", "store": "sqlite:/var/a%sb", "bus": "unix:path=/run/a%sb"} {
		s := findSetting(key)
		for escaped, char := range map[string]string{`\u0000`: "\x00", `\n`: "\n", `\u001b`: "\x1b", `\u007f`: "\x7f"} {
			writeFile(t, file, fmt.Sprintf(`%s = "%s"`, key, fmt.Sprintf(value, escaped)))
			_, err := read(t, "--config", file)
			refused(t, err, file+": "+key, s.allowed)

			_, err = read(t, "--config", empty, "--"+s.flag(), fmt.Sprintf(value, char))
			refused(t, err, "--"+s.flag(), s.allowed)

			if char != "\x00" { // which no variable can hold
				t.Setenv(s.variable(), fmt.Sprintf(value, char))
				_, err = read(t, "--config", empty)
				refused(t, err, s.variable(), s.allowed)
				os.Unsetenv(s.variable())
			}
		}
	}
}

// TestBadConfigPath has bad paths of the configuration file.
func TestBadConfigPath(t *testing.T) {
	clean(t)
	for _, path := range []string{"", "/a\nb", "/a\x00b", "/" + strings.Repeat("x/", 1<<19)} {
		_, err := read(t, "--config", path)
		if err == nil || !strings.HasSuffix(err.Error(), " is not allowed; allowed: a path of at most 4095 bytes without control characters") || len(err.Error()) > 1000 {
			t.Errorf("%.20q: %.300v", path, err)
		}
	}
}

// TestWildFiles has large and deep files, and long names. They are refused in a short
// time.
func TestWildFiles(t *testing.T) {
	_, file := clean(t)
	const deep = 100_000
	for _, text := range []string{
		strings.Repeat("x", 1<<20) + " = 1",
		strings.Repeat("a.", deep) + "b = 1",
		"socket = " + strings.Repeat("[", deep),
		"socket = " + strings.Repeat("[", deep) + strings.Repeat("]", deep),
		"socket = " + strings.Repeat("{a=", deep),
		"[" + strings.Repeat("a.", deep) + "b]",
		"[[socket]]\n" + strings.Repeat("x", 1<<20) + " = 1",
		"[[socket]]\npath = " + strings.Repeat("[", deep) + strings.Repeat("]", deep),
		strings.Repeat("[[socket]]\n", deep),
		strings.Repeat("# comment\n", deep) + "x = 1",
		strings.Repeat("\x00", 1<<20),
		strings.Repeat("\n", 1<<20) + "\xff",
	} {
		writeFile(t, file, text)
		began := time.Now()
		_, err := read(t, "--config", file)
		if took := time.Since(began); took > 30*time.Second {
			t.Errorf("%.20q: took %v", text, took)
		}
		if err == nil || !strings.HasPrefix(err.Error(), file+":") || len(err.Error()) > 1000 || strings.Contains(err.Error(), "\n") {
			t.Errorf("%.20q: %.300v", text, err)
		}
	}
}

// TestLongNames has long unknown names of variables, flags and arguments.
func TestLongNames(t *testing.T) {
	_, file := clean(t)
	long := strings.Repeat("X", 100_000)
	for _, tt := range []struct {
		args []string
		env  string
		want string
	}{
		{nil, "KCMD_" + long + "=1", "kcmd: cannot read the configuration: \"KCMD_X"},
		{nil, "KCMD_A\nB=1", `kcmd: cannot read the configuration: "KCMD_A\nB": unknown variable`},
		{[]string{"--" + long}, "", "kcmd: cannot read the command line: unknown flag: --X"},
		{[]string{long}, "", `kcmd: cannot read the command line: unexpected argument "X`},
		{[]string{"a\nb\x1b"}, "", `kcmd: cannot read the command line: unexpected argument "a\nb\x1b"; allowed: options, and the commands check, dump, rekey; see kcmd --help`},
	} {
		line := kcmd(t, append([]string{"--config", file}, tt.args...), tt.env).fails(exitConfig)
		if !strings.HasPrefix(line, tt.want) || len(line) > 5000 {
			t.Errorf("got %.300s (%d bytes)\nwant %s", line, len(line), tt.want)
		}
	}
}
