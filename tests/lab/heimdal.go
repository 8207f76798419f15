package lab

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// Heimdal are Heimdal's clients, in a directory that every user can read.
type Heimdal struct {
	dir       string // with usr/bin in it
	libraries string // for LD_LIBRARY_PATH
}

// unpackedHeimdal returns the directory into which tests/install.sh has unpacked
// Heimdal's clients, since they cannot be installed beside MIT's.
func unpackedHeimdal() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "kcmd-tests", "heimdal")
	if _, err := os.Stat(filepath.Join(dir, "usr", "bin", "kgetcred")); err != nil {
		return "", errors.New("Heimdal's clients are not unpacked (tests/run does that)")
	}
	return dir, nil
}

// MissingHeimdal returns an error if Heimdal's clients are not unpacked.
func MissingHeimdal() error {
	_, err := unpackedHeimdal()
	return err
}

// NewHeimdal copies Heimdal's clients into the lab, since other users often cannot
// read the directory in which they are unpacked.
func (l *Lab) NewHeimdal() (*Heimdal, error) {
	from, err := unpackedHeimdal()
	if err != nil {
		return nil, err
	}
	h := &Heimdal{dir: l.Path("heimdal")}
	if err := os.CopyFS(h.dir, os.DirFS(from)); err != nil {
		return nil, fmt.Errorf("cannot copy Heimdal's clients: %w", err)
	}
	// One directory, whose name depends on the machine.
	found, err := filepath.Glob(filepath.Join(h.dir, "usr", "lib", "*-linux-*"))
	if err != nil || len(found) != 1 {
		return nil, fmt.Errorf("cannot find Heimdal's libraries: %q, %w", found, err)
	}
	h.libraries = found[0]
	return h, nil
}

// Prepare makes a command run Heimdal's program of that name.
func (h *Heimdal) Prepare(cmd *exec.Cmd) {
	bin := filepath.Join(h.dir, "usr", "bin")
	name := cmd.Args[0]
	switch name {
	case "klist", "kswitch":
		// Debian links these names to one program, which takes the command as
		// its first argument.
		cmd.Args = append([]string{"heimtools"}, cmd.Args...)
		name = "heimtools"
	case "kinit", "kdestroy":
		// Debian renames the programs that MIT has too.
		name += ".heimdal"
	}
	cmd.Path, cmd.Err = filepath.Join(bin, name), nil
	cmd.Env = append(cmd.Env, "LD_LIBRARY_PATH="+h.libraries)
}
