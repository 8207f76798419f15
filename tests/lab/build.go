package lab

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Build builds kcmd into the lab and returns the path of the binary. With
// race it has the race detector in it, which needs a C compiler. The program
// that calls it must run inside the module.
func (l *Lab) Build(race bool) (string, error) {
	program := filepath.Join(l.Dir, "kcmd")
	cmd := exec.Command("go", "build", "-o", program)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if race {
		cmd.Args = append(cmd.Args, "-race")
		cmd.Env = append(os.Environ(), "CGO_ENABLED=1")
	}
	cmd.Args = append(cmd.Args, "kcmd.org/kcmd/cmd/kcmd")
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := Run(cmd); err != nil {
		return "", fmt.Errorf("cannot build kcmd: %w\n%s", err, out.String())
	}
	return program, nil
}
