package ccfile

import (
	"os"
	"path/filepath"

	"kcmd.org/kcmd/ccstore/ccache"
)

// Write makes a file of version 4 with these contents, or replaces it: it has the old
// contents or the new ones at any time, and the new ones are on the disk when Write
// returns.
func Write(path string, c *ccache.Contents) error { return replace(path, Append(nil, c)) }

// replace writes a temporary file in the same directory, with mode 0600, and renames it.
func replace(path string, content []byte) (err error) {
	defer clear(content)
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if _, err := f.Write(content); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
