package transfer

import (
	"errors"
	"io/fs"
	"time"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/cckeyring"
)

// A keyring is a KEYRING collection, or one cache of it.
type keyring struct{ *cckeyring.Collection }

func newKeyring(residual string) (*keyring, error) {
	name, err := cckeyring.ParseName(residual)
	if err != nil {
		return nil, NameError(err.Error())
	}
	if name.Anchor == cckeyring.Process || name.Anchor == cckeyring.Thread {
		return nil, nameError("%v exists only within one program; no other can read or write it", name)
	}
	c, err := cckeyring.Open(name)
	return &keyring{c}, err
}

func (k *keyring) Read() ([]*Cache, error) {
	names, err := k.Names()
	if err != nil {
		return nil, err
	}
	primary, err := k.Primary()
	if err != nil {
		return nil, err
	}
	var caches []*Cache
	for _, name := range names {
		if k.Subsidiary != "" && name != k.Subsidiary {
			continue
		}
		c := &Cache{Name: name, Title: k.Title(name), Shorts: []string{k.short(name)}, Default: name == primary || name == k.Subsidiary}
		c.Contents, c.Err = k.ReadOne(name)
		if errors.Is(c.Err, fs.ErrNotExist) {
			continue // it has just been destroyed
		}
		caches = append(caches, c)
	}
	return caches, nil
}

func (k *keyring) ReadOne(name string) (*ccache.Contents, error) { return k.Collection.Read(name) }

func (k *keyring) Title(name string) string {
	n := k.Collection.Name
	n.Subsidiary = name
	return n.String()
}

func (k *keyring) short(name string) string {
	if name == k.Initial() {
		return initial
	}
	return name
}

// Name returns the same name for all caches if the target is one cache.
func (k *keyring) Name(short string) string {
	switch {
	case k.Subsidiary != "":
		return k.Subsidiary
	case short == initial:
		return k.Initial()
	}
	return short
}

func (k *keyring) Unique() (string, error) {
	if k.Subsidiary != "" {
		return "", errOneOnly
	}
	return "krb_ccache_" + randomName(7), nil
}

func (k *keyring) Write(name string, c *ccache.Contents) error {
	return k.Collection.Write(name, c, time.Now())
}

// SetDefault changes nothing for a single cache.
func (k *keyring) SetDefault(name string) error {
	if k.Subsidiary != "" {
		return nil
	}
	return k.SetPrimary(name)
}

// Remove removes a cache. A ticket that is stored between the look and this is lost.
func (k *keyring) Remove(c *Cache) error {
	now, err := k.ReadOne(c.Name)
	if err != nil {
		return err
	}
	if !now.Equal(c.Contents) {
		return errChanged
	}
	return k.Collection.Remove(c.Name)
}

func (k *keyring) Close() error { return nil }
