package transfer

import (
	"errors"
	"fmt"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/ccsssd"
)

// A secrets is the collection of a user in the database of sssd_kcm. It is only read.
type secrets struct {
	path   string
	names  *server // for the names, which are those of a KCM server
	caches []ccsssd.Cache
}

// OpenSSSD reads the database of sssd_kcm, as root, and returns the collections of its
// users.
func OpenSSSD(path string) (map[uint32]Collection, error) {
	users, err := ccsssd.Open(path)
	if err != nil {
		return nil, err
	}
	collections := make(map[uint32]Collection)
	for uid, caches := range users {
		collections[uid] = &secrets{path, &server{uid: fmt.Sprint(uid)}, caches}
	}
	return collections, nil
}

func (s *secrets) Read() ([]*Cache, error) {
	var caches []*Cache
	for _, c := range s.caches {
		caches = append(caches, &Cache{
			Contents: c.Contents, Err: c.Err, Name: c.Name, Title: s.Title(c.Name),
			Shorts: []string{s.names.short(c.Name)}, Default: c.Default,
		})
	}
	return caches, nil
}

var errReadOnly = errors.New("kcmctl does not change the database of sssd_kcm")

func (s *secrets) ReadOne(string) (*ccache.Contents, error) { return nil, errReadOnly }
func (s *secrets) Title(name string) string                 { return "KCM:" + name + " in " + s.path }
func (s *secrets) Name(short string) string                 { return s.names.Name(short) }
func (s *secrets) Unique() (string, error)                  { return "", errReadOnly }
func (s *secrets) Write(string, *ccache.Contents) error     { return errReadOnly }
func (s *secrets) SetDefault(string) error                  { return errReadOnly }
func (s *secrets) Remove(*Cache) error                      { return errReadOnly }
func (s *secrets) Close() error                             { return nil }
