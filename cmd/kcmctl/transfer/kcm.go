package transfer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A server is the collection of the effective user in a KCM server: kcmd, sssd_kcm or
// Heimdal's kcm.
type server struct {
	c       *client.Client
	uid     string
	place   string // what follows the name of a cache for people
	endStop func() bool
}

// Dial connects to the KCM server at the socket. place is added to the names of its
// caches for people. The context interrupts it.
func Dial(ctx context.Context, socket string, uid uint32, place string) (Collection, error) {
	conn, err := connect(socket)
	if err != nil {
		return nil, fmt.Errorf("no KCM server answers at %s: %w", socket, err)
	}
	s := &server{c: client.New(conn), uid: strconv.FormatUint(uint64(uid), 10), place: place}
	s.endStop = context.AfterFunc(ctx, func() { conn.Close() })
	return s, nil
}

// connect connects in the calling thread: the kernel tells the server the effective
// user of that, and the dialer of the library promises nothing about threads.
func connect(socket string) (net.Conn, error) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	f := os.NewFile(uintptr(fd), socket)
	defer f.Close() // FileConn has its own
	if err := unix.Connect(fd, &unix.SockaddrUnix{Name: socket}); err != nil {
		return nil, err
	}
	return net.FileConn(f)
}

func (s *server) Close() error {
	s.endStop()
	return s.c.Close()
}

func (s *server) Read() ([]*Cache, error) {
	ids, err := s.c.GetCacheUUIDList()
	if errors.Is(err, kcm.FCCNoFile) || errors.Is(err, kcm.CCNotFound) {
		return nil, nil // as sssd_kcm and Heimdal say that there is none
	}
	if err != nil {
		return nil, explained(err)
	}
	standard, err := s.c.GetDefaultCache()
	if err != nil {
		return nil, explained(err)
	}
	var caches []*Cache
	for _, id := range ids {
		name, err := s.c.GetCacheByUUID(id)
		if isMissing(err) {
			continue // it has just been destroyed
		}
		if err != nil {
			return nil, explained(err)
		}
		c := &Cache{Name: name, Title: s.Title(name), Shorts: []string{s.short(name)}, Default: name == standard}
		c.Contents, err = s.ReadOne(name)
		if isMissing(err) {
			continue
		}
		if err != nil && errors.As(err, new(net.Error)) {
			return nil, err
		}
		c.Err = err
		caches = append(caches, c)
	}
	return caches, nil
}

func isMissing(err error) bool {
	return errors.Is(err, kcm.CCEnd) || errors.Is(err, kcm.FCCNoFile) || errors.Is(err, kcm.CCNotFound)
}

// ReadOne reads a cache.
func (s *server) ReadOne(name string) (*ccache.Contents, error) {
	c := new(ccache.Contents)
	var err error
	if c.Principal, err = s.c.GetPrincipal(name); err != nil {
		return nil, explained(err)
	}
	if c.KDCOffset, err = s.c.GetKDCOffset(name); err != nil && !isUnsupported(err) {
		return nil, explained(err)
	}
	if c.Credentials, err = s.c.GetCredList(name); isUnsupported(err) {
		c.Credentials, err = s.readEach(name)
	}
	if err != nil {
		return nil, explained(err)
	}
	return c, nil
}

// readEach reads the credentials one by one, from a server that sends no list, or whose
// list would be too long.
func (s *server) readEach(name string) ([]*ccache.Credential, error) {
	ids, err := s.c.GetCredUUIDList(name)
	if err != nil {
		return nil, err
	}
	var list []*ccache.Credential
	for _, id := range ids {
		cred, err := s.c.GetCredByUUID(name, id)
		if errors.Is(err, kcm.CCEnd) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list = append(list, cred)
	}
	return list, nil
}

func (s *server) Title(name string) string { return "KCM:" + name + s.place }

// short returns the name without the uid.
func (s *server) short(name string) string {
	if name == s.uid {
		return initial
	}
	return strings.TrimPrefix(name, s.uid+":")
}

// maxName is the longest name that kcmd allows.
const maxName = 255

func (s *server) Name(short string) string {
	if short == initial {
		return s.uid
	}
	name := s.uid + ":" + short
	if len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return ""
	}
	return name
}

func (s *server) Unique() (string, error) {
	name, err := s.c.GenNew()
	return name, explained(err)
}

// maxRequest bounds the credentials that go into one request, which has 10 MiB at most.
const maxRequest = kcm.MaxLen - 64<<10

// Write writes a cache in one step, or where the server cannot do that, or the cache is
// larger than a request, under a name of its own first.
func (s *server) Write(name string, c *ccache.Contents) error {
	size := 0
	for _, cred := range c.Credentials {
		size += len(cred.Bytes()) + 4
	}
	if size <= maxRequest {
		err := s.c.Replace(name, c.KDCOffset, c.Principal, c.Credentials)
		if !isUnsupported(err) {
			return explained(err)
		}
	}
	part, err := s.c.GenNew()
	if err != nil {
		return explained(err)
	}
	if err = s.writeParts(part, c); err == nil {
		err = s.c.MoveCache(part, name)
	}
	if err == nil {
		return nil
	}
	_ = s.c.Destroy(part)
	if isUnsupported(err) { // sssd_kcm moves no cache
		err = s.writeParts(name, c)
	}
	return explained(err)
}

func (s *server) writeParts(name string, c *ccache.Contents) error {
	if err := s.c.Initialize(name, c.Principal); err != nil {
		return err
	}
	if c.KDCOffset != 0 {
		if err := s.c.SetKDCOffset(name, c.KDCOffset); err != nil {
			return err
		}
	}
	for _, cred := range c.Credentials {
		if err := s.c.Store(name, cred); err != nil {
			return err
		}
	}
	return nil
}

// SetDefault changes nothing if the cache is the default one already.
func (s *server) SetDefault(name string) error {
	if now, err := s.c.GetDefaultCache(); err == nil && now == name {
		return nil
	}
	return explained(s.c.SetDefaultCache(name))
}

// Remove destroys a cache. A ticket that is stored between the look and this is lost;
// the protocol has no way to prevent it.
func (s *server) Remove(c *Cache) error {
	now, err := s.ReadOne(c.Name)
	if err != nil {
		return err
	}
	if !now.Equal(c.Contents) {
		return errChanged
	}
	return explained(s.c.Destroy(c.Name))
}

func isUnsupported(err error) bool {
	return errors.Is(err, kcm.FCCInternal) || errors.Is(err, kcm.CCIO)
}

// texts say in words what a KCM server refuses with a number.
var texts = map[kcm.Code]string{
	kcm.EDQUOT:    "the caches would need more space than a user may have",
	kcm.ENOSPC:    "no space is left on the server's disk",
	kcm.EROFS:     "the server's disk is read-only",
	kcm.FCCPerm:   "the server does not allow it",
	kcm.CCNoMem:   "the server has no memory left for it; try again",
	kcm.CCFormat:  "the server cannot decode it",
	kcm.CCBadName: "the server does not allow the name",
}

func explained(err error) error {
	var code kcm.Code
	if errors.As(err, &code) && texts[code] != "" {
		return fmt.Errorf("%s%w", texts[code], hidden{err})
	}
	return err
}

// hidden is an error without a text, for errors.Is.
type hidden struct{ error }

func (hidden) Error() string   { return "" }
func (h hidden) Unwrap() error { return h.error }
