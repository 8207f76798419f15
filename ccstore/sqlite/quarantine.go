package sqlite

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"
)

// quarantine renames a damaged database, which must be closed, with its other
// files, and logs the new name.
func (f *files) quarantine(damage error) error {
	f.unlockDatabase()
	to, err := quarantineFiles(f.path, time.Now(), "", "-wal", "-shm", "-journal")
	if err != nil {
		return fmt.Errorf("%w; cannot quarantine it: %w", damage, err)
	}
	if err := f.unmark(); err != nil {
		return err
	}
	f.log.Error("the store was damaged and is quarantined; starting with an empty one, users must get all tickets again",
		"store", f.path, "moved_to", to, "err", damage)
	return nil
}

// quarantineFiles renames the files of the database at path with these suffixes,
// and returns the new name. It overwrites nothing.
func quarantineFiles(path string, now time.Time, suffixes ...string) (to string, err error) {
	to = freeName(path+".corrupt-"+now.UTC().Format("20060102T150405Z"), suffixes)
	for _, suffix := range suffixes {
		if err := os.Rename(path+suffix, to+suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return to, syncDir(path)
}

// freeName returns name, with a number if a file has that name and one of the
// suffixes. No other process creates files in the directory.
func freeName(name string, suffixes []string) string {
	free := name
	for n := 2; slices.ContainsFunc(suffixes, func(suffix string) bool { return exists(free + suffix) }); n++ {
		free = name + "-" + strconv.Itoa(n)
	}
	return free
}

// syncDir makes the names in the directory of path durable.
func syncDir(path string) error {
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
