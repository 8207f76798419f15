package ccfile

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Prefix begins the name of each cache in a directory. Initial is the name of the first.
const (
	Prefix  = "tkt"
	Initial = "tkt"
)

const primaryFile = "primary"

// maxPrimary is the longest name that libkrb5 reads from the file of the primary cache
// (read_primary_file in cc_dir.c).
const maxPrimary = 62

// maxNames bounds the names that Dir.Names reads.
const maxNames = 10000

// A Dir is a DIR collection: a directory with a file for each cache.
type Dir struct{ Path string }

// Check fails if others can write to the directory, or if it belongs to another user
// than the effective one. libkrb5 does not check this.
func (d Dir) Check() error {
	var stat unix.Stat_t
	if err := unix.Stat(d.Path, &stat); err != nil {
		return &fs.PathError{Op: "stat", Path: d.Path, Err: err}
	}
	euid := uint32(os.Geteuid())
	switch {
	case stat.Mode&unix.S_IFMT != unix.S_IFDIR:
		return fmt.Errorf("%s is not a directory", d.Path)
	case stat.Uid != euid:
		return fmt.Errorf("%s belongs to uid %d, not to uid %d", d.Path, stat.Uid, euid)
	case stat.Mode&0o022 != 0:
		return fmt.Errorf("%s can be written by others (mode %#o); allowed: 0700", d.Path, stat.Mode&0o777)
	}
	return nil
}

// Names returns the names of the caches, the primary one first, the others in the order
// of the directory, as libkrb5 lists them.
func (d Dir) Names() ([]string, error) {
	f, err := os.Open(d.Path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all, err := f.Readdirnames(maxNames)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if len(all) == maxNames {
		return nil, fmt.Errorf("%s has %d or more files; allowed: fewer", d.Path, maxNames)
	}
	primary, err := d.Primary()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, name := range all {
		switch {
		case name == primary:
			names = append([]string{name}, names...)
		case strings.HasPrefix(name, Prefix):
			names = append(names, name)
		}
	}
	return names, nil
}

// Primary returns the name of the primary cache, which may not exist.
func (d Dir) Primary() (string, error) {
	path := filepath.Join(d.Path, primaryFile)
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_NOFOLLOW|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if errors.Is(err, unix.ENOENT) {
		return Initial, nil
	}
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: path, Err: err}
	}
	f := os.NewFile(uintptr(fd), path)
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPrimary+2))
	if err != nil {
		return "", err
	}
	name, found := strings.CutSuffix(string(b), "\n")
	if !found || !ValidName(name) {
		return "", fmt.Errorf("%s does not have the name of a cache", path)
	}
	return name, nil
}

// ValidName reports whether libkrb5 can have a primary cache of that name.
func ValidName(name string) bool {
	return strings.HasPrefix(name, Prefix) && len(name) <= maxPrimary && !strings.ContainsAny(name, "/\\\n\x00")
}

// Open reads a cache of the directory.
func (d Dir) Open(name string) (*File, error) { return Open(filepath.Join(d.Path, name)) }

// Write writes a cache of the directory. It creates the directory if necessary, but not
// those above it.
func (d Dir) Write(name string, c *ccache.Contents) error {
	if err := d.create(); err != nil {
		return err
	}
	return Write(filepath.Join(d.Path, name), c)
}

// SetPrimary makes a cache the primary one.
func (d Dir) SetPrimary(name string) error {
	if err := d.create(); err != nil {
		return err
	}
	return replace(filepath.Join(d.Path, primaryFile), []byte(name+"\n"))
}

func (d Dir) create() error {
	if err := os.Mkdir(d.Path, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return d.Check()
}
