package system

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/tests/lab"
)

// These tests run the commands of README.md that are for the tree of the sources.
// They build, and have no limit of time but that of the test program.

// runInTree runs a command with a new temporary directory, in which it leaves nothing.
func runInTree(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	dir, err := os.MkdirTemp(shared.Dir, "") // short, for the sockets
	if err != nil {
		t.Fatal(err)
	}
	if cmd.Env == nil {
		cmd.Env = os.Environ()
	}
	cmd.Env = append(cmd.Env, "TMPDIR="+dir)
	out, err := lab.Output(cmd)
	if err != nil {
		t.Errorf("%v: %v", cmd.Args, err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v leaves %v: %v", cmd.Args, left, err)
	}
	return out
}

// ofTree returns the command of README.md for a script of the tree, and the option of
// its comment.
func ofTree(t *testing.T, script string) (command, option string) {
	t.Helper()
	found := regexp.MustCompile(`(?m)^(` + script + `) +# (--[a-z]+): `).FindStringSubmatch(readme(t, "# kcmd"))
	if found == nil {
		t.Fatalf("README.md has no %s with an option", script)
	}
	return found[1], found[2]
}

// tests/try runs to its end and leaves nothing.
func TestReadmeTry(t *testing.T) {
	lab.NeedKerberos(t)
	lab.Need(t, lab.BusPrograms...)
	command, _ := ofTree(t, "tests/try")
	cmd := exec.Command("bash", "-c", command)
	cmd.Dir = "../.."
	if out := runInTree(t, cmd); !strings.HasSuffix(out, "# This is the end.\n") {
		t.Errorf("it does not run to its end:\n%s", out)
	}
}

// tests/try --shell opens a shell that has kcmd, and tickets in it.
func TestReadmeTryShell(t *testing.T) {
	lab.NeedKerberos(t)
	lab.Need(t, lab.BusPrograms...)
	command, option := ofTree(t, "tests/try")
	terminal, device, err := openTerminal()
	if err != nil {
		t.Skipf("no terminal can be made here: %v", err)
	}
	defer terminal.Close()
	cmd := exec.Command("bash", "-c", command+" "+option)
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "HISTFILE=", "TERM=dumb", "TMPDIR="+shared.Dir)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = device, device, device
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := lab.Start(cmd); err != nil {
		t.Fatal(err)
	}
	device.Close()
	// Only the last process that has the device open ends this, with an error.
	var out []byte
	for buffer, asked := make([]byte, 4096), false; ; {
		n, err := terminal.Read(buffer)
		out = append(out, buffer[:n]...)
		if !asked && bytes.Contains(out, []byte("(kcmd) ")) {
			asked = true
			if _, err := terminal.WriteString("klist; kcmd check; exit\n"); err != nil {
				t.Fatal(err)
			}
		}
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %v\n%s", cmd.Args, err, out)
	}
	_, inShell, _ := strings.Cut(string(out), "(kcmd) ")
	for _, want := range []string{"Default principal: alice@KCMD.TEST", "1 of 1 collections can be read"} {
		if !strings.Contains(inShell, want) {
			t.Errorf("the shell shows no %q:\n%s", want, out)
		}
	}
}

// openTerminal returns both ends of a new terminal: the side of the user and the
// device of the programs.
func openTerminal() (user, device *os.File, err error) {
	if user, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		return nil, nil, err
	}
	defer func() {
		if err != nil {
			user.Close()
		}
	}()
	number, err := unix.IoctlGetInt(int(user.Fd()), unix.TIOCGPTN)
	if err != nil {
		return nil, nil, err
	}
	if err = unix.IoctlSetPointerInt(int(user.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		return nil, nil, err
	}
	device, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	return user, device, err
}

// tests/run and tests/bench accept what README.md says. They are not run: the first
// would run this test, and the second has one of its own.
func TestReadmeRun(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: tests/bench is not built")
	}
	for _, script := range []string{"tests/run", "tests/bench"} {
		command, option := ofTree(t, script)
		cmd := exec.Command("bash", "-c", command+" "+option+" --help")
		cmd.Dir = "../.."
		if out := runInTree(t, cmd); !regexp.MustCompile(`(?m)^ +` + option + `\b`).MatchString(out) {
			t.Errorf("%s --help does not explain %s:\n%s", command, option, out)
		}
	}
}

// onlyTop is a go that vets and tests only the top directory: tests/run does the rest.
const onlyTop = `#!/bin/sh
case "$*" in
"test ./..." | "vet ./...") set -- "$1" . ;;
esac
exec "%s" "$@"
`

// The commands that build, test and install work in a fresh tree whose path has
// spaces. They install below DESTDIR.
func TestReadmeBuild(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: everything is built again")
	}
	lab.Need(t, "meson", "ninja", "tar")
	dir := t.TempDir()
	tree, bin, dest := filepath.Join(dir, "a fresh tree"), filepath.Join(dir, "bin"), filepath.Join(dir, "dest")
	for _, d := range []string{tree, bin} {
		if err := os.Mkdir(d, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	copied := exec.Command("bash", "-euc", `tar --exclude=./.git --exclude='./build*' --exclude=./vendor --exclude=./kcmd -c . | tar -x -C "$0"`, tree)
	copied.Dir = "../.."
	runInTree(t, copied)
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(bin, "go"), fmt.Appendf(nil, onlyTop, program), 0o755); err != nil {
		t.Fatal(err)
	}
	var commands string
	for _, b := range readmeBlocks(t) {
		if b.heading == "## Build and install" && !strings.Contains(b.commands, "systemctl") {
			commands += b.commands
		}
	}
	cmd := exec.Command("bash", "-euxc", commands+"./kcmd --version\n")
	cmd.Dir = tree
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "DESTDIR="+dest)
	runInTree(t, cmd)
	for _, file := range []string{"usr/bin/kcmd", "usr/bin/kcmctl", "usr/share/man/man8/kcmd.8", "usr/share/man/man1/kcmctl.1",
		"usr/share/bash-completion/completions/kcmctl", "usr/share/dbus-1/system.d/org.kcmd.KCM1.conf"} {
		if _, err := os.Stat(filepath.Join(dest, file)); err != nil {
			t.Errorf("not installed: %v", err)
		}
	}
}
