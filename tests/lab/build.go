package lab

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
)

// Program returns the path of the daemon's binary: the value of LAB_KCMD, or else a
// new build. With LAB_RACE=1 that has the race detector, which makes the daemon exit
// with 66 after a finding. root is the directory of the module.
func (l *Lab) Program(root string) (string, error) {
	if path := os.Getenv("LAB_KCMD"); path != "" {
		return filepath.Abs(path)
	}
	if err := lookAtSources(root); err != nil {
		return "", err
	}
	return l.Build(os.Getenv("LAB_RACE") == "1")
}

// lookAtSources reads every directory of the module. The go command caches the
// result of a test until a file changes that the test has opened, and the compiler,
// another process, opens the sources of the daemon.
func lookAtSources(root string) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() && d.Name() == ".git" {
			return fs.SkipDir
		}
		return err
	})
}

// Required reports whether a missing program fails a test instead of skipping it.
// tests/run sets LAB_REQUIRED=1 after it has installed all programs.
func Required() bool { return os.Getenv("LAB_REQUIRED") == "1" }

// Build builds kcmd into the lab and returns the path of the binary. With
// race it has the race detector in it, which needs a C compiler. The program
// that calls it must run inside the module.
func (l *Lab) Build(race bool) (string, error) { return l.build("kcmd", race) }

// Kcmctl builds kcmctl as Build builds kcmd, with the race detector if LAB_RACE is 1.
// root is the directory of the module.
func (l *Lab) Kcmctl(root string) (string, error) {
	if err := lookAtSources(root); err != nil {
		return "", err
	}
	return l.build("kcmctl", os.Getenv("LAB_RACE") == "1")
}

// Agent builds kcm-agent as Kcmctl builds kcmctl.
func (l *Lab) Agent(root string) (string, error) {
	if err := lookAtSources(root); err != nil {
		return "", err
	}
	return l.build("kcm-agent", os.Getenv("LAB_RACE") == "1")
}

// MovedClock builds a kcmd whose clock a test moves, see cmd/kcmd/movedclock.go. root is
// the directory of the module.
func (l *Lab) MovedClock(root string) (string, error) {
	if err := lookAtSources(root); err != nil {
		return "", err
	}
	dir := filepath.Join(l.Dir, "moved")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", err
	}
	return l.buildIn(dir, "kcmd", os.Getenv("LAB_RACE") == "1", "-tags=movedclock")
}

func (l *Lab) build(name string, race bool) (string, error) { return l.buildIn(l.Dir, name, race) }

// buildIn builds a program into a directory.
func (l *Lab) buildIn(dir, name string, race bool, flags ...string) (string, error) {
	program := filepath.Join(dir, name)
	cmd := exec.Command("go", "build", "-o", program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if race {
		cmd.Args = append(cmd.Args, "-race")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	cmd.Args = append(append(cmd.Args, flags...), "kcmd.org/kcmd/cmd/"+name)
	if _, err := Output(cmd); err != nil {
		return "", fmt.Errorf("cannot build %s: %w", name, err)
	}
	return program, nil
}
