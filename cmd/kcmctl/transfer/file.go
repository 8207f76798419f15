package transfer

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/ccfile"
)

// A file is a FILE cache: a collection of one. Its name is its path.
type file struct {
	path, title string
	uid         uint32
}

func (f *file) Read() ([]*Cache, error) {
	read, err := ccfile.Open(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	c := &Cache{Name: f.path, Title: f.title, Default: true, Err: err, Shorts: f.shorts()}
	if err == nil {
		c.Contents, c.Damaged, c.remove = read.Contents, read.Damaged, read.Remove
	}
	return []*Cache{c}, nil
}

// shorts returns the first cache's name, which is right for the only cache of a user.
// The other one is what sshd and pam_krb5 make unique.
func (f *file) shorts() []string {
	base := filepath.Base(f.path)
	unique, found := strings.CutPrefix(base, fmt.Sprintf("krb5cc_%d_", f.uid))
	if !found || unique == "" {
		unique = base
	}
	return []string{initial, unique}
}

func (f *file) ReadOne(string) (*ccache.Contents, error) {
	read, err := ccfile.Open(f.path)
	if err != nil {
		return nil, err
	}
	return read.Contents, read.Damaged
}

func (f *file) Title(string) string                         { return f.title }
func (f *file) Name(string) string                          { return f.path }
func (f *file) Unique() (string, error)                     { return "", errOneOnly }
func (f *file) Write(name string, c *ccache.Contents) error { return ccfile.Write(name, c) }
func (f *file) SetDefault(string) error                     { return nil }
func (f *file) Remove(c *Cache) error                       { return c.remove() }
func (f *file) Close() error                                { return nil }
