package transfer

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/ccfile"
)

// A dir is a DIR collection. The name of a cache is that of its file.
type dir struct{ ccfile.Dir }

func newDir(path string) *dir { return &dir{ccfile.Dir{Path: filepath.Clean(path)}} }

func (d *dir) Read() ([]*Cache, error) {
	if err := d.Check(); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	names, err := d.Names()
	if err != nil {
		return nil, err
	}
	primary, err := d.Primary()
	if err != nil {
		return nil, err
	}
	var caches []*Cache
	for _, name := range names {
		c := &Cache{Name: name, Title: d.Title(name), Default: name == primary}
		c.Shorts = []string{strings.TrimPrefix(name, ccfile.Prefix)}
		read, err := d.Open(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it has just been destroyed
		}
		if err != nil {
			c.Err = err
		} else {
			c.Contents, c.Damaged, c.remove = read.Contents, read.Damaged, read.Remove
		}
		caches = append(caches, c)
	}
	return caches, nil
}

func (d *dir) ReadOne(name string) (*ccache.Contents, error) {
	read, err := d.Open(name)
	if err != nil {
		return nil, err
	}
	return read.Contents, read.Damaged
}

func (d *dir) Title(name string) string { return "DIR::" + filepath.Join(d.Path, name) }

// Name replaces what the name of a primary cache cannot have.
func (d *dir) Name(short string) string {
	name := ccfile.Prefix + strings.Map(func(r rune) rune {
		if r <= ' ' || r == '/' || r == '\\' || r >= 0x7f {
			return '_'
		}
		return r
	}, short)
	if !ccfile.ValidName(name) {
		return ""
	}
	return name
}

func (d *dir) Unique() (string, error)      { return ccfile.Prefix + randomName(6), nil }
func (d *dir) SetDefault(name string) error { return d.SetPrimary(name) }
func (d *dir) Remove(c *Cache) error        { return c.remove() }
func (d *dir) Close() error                 { return nil }
