package kcmserver

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/ccache"
	"kcmd.org/kcmd/ccstore/memory"
	"kcmd.org/kcmd/ccstore/storetest"
	"kcmd.org/kcmd/kcmserver/kcm"
	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
)

// FuzzServer sends any bytes. Whatever they are, nothing panics, every whole
// request gets an answer, and the connection comes to its end.
func FuzzServer(f *testing.F) {
	b, err := os.ReadFile("kcm/testdata/vectors.json")
	if err != nil {
		f.Fatal(err)
	}
	var vectors []struct{ Request string }
	if err := json.Unmarshal(b, &vectors); err != nil || len(vectors) == 0 {
		f.Fatalf("there are no vectors: %v", err)
	}
	var all []byte
	for _, v := range vectors {
		frame, err := hex.DecodeString(v.Request)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(frame)
		all = append(all, frame...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, b []byte) {
		log := slog.New(panicLog{t})
		store := storetest.CheckedAtEnd(t, ccstore.Open(memory.New(), ccstore.Options{Logger: log}))
		near, far := socketPair(t)
		s := New(store, Options{Logger: log})
		done := make(chan struct{})
		go func() {
			s.ServeConn(context.Background(), far, user(0))
			close(done)
		}()
		answers := make(chan int)
		go func() {
			n := 0
			for {
				if _, _, err := kcm.ReadReply(near); err != nil {
					answers <- n
					return
				}
				n++
			}
		}()
		near.SetWriteDeadline(time.Now().Add(patience))
		if _, err := near.Write(b); errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatal("the server does not read")
		}
		// The server ends the connection when it has read all, or what is no
		// request. Answers are read until then.
		near.CloseWrite()
		<-done
		defer near.Close()
		if got, least := <-answers, wholeRequests(b); got != least {
			t.Fatalf("%d answers to %d requests", got, least)
		}
		if err := store.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// wholeRequests counts the requests before the first that is none.
func wholeRequests(b []byte) int {
	r := bytes.NewReader(b)
	for n := 0; ; n++ {
		if _, _, err := kcm.ReadRequest(r, nil); err != nil {
			return n
		}
	}
}

// A panicLog fails the test if a panic is logged.
type panicLog struct{ t *testing.T }

func (panicLog) Enabled(context.Context, slog.Level) bool { return true }
func (l panicLog) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "panicked") {
		r.Attrs(func(a slog.Attr) bool { l.t.Errorf("%s: %v", a.Key, a.Value); return true })
	}
	return nil
}
func (l panicLog) WithAttrs([]slog.Attr) slog.Handler { return l }
func (l panicLog) WithGroup(string) slog.Handler      { return l }

// FuzzModel does what the bytes say to a server and to a model of it: two bytes
// are one request. All replies must be those of the model.
func FuzzModel(f *testing.F) {
	f.Add([]byte("\x00\x00\x10\x00\x20\x00\x30\x00\x40\x00\x50\x00\x60\x00\x70\x00\x80\x00\x90\x00\xa0\x00"))
	seed := make([]byte, 0, 512)
	for i := range 256 {
		seed = append(seed, byte(i*7), byte(i*13))
	}
	f.Add(seed)
	f.Fuzz(func(t *testing.T, b []byte) {
		store := ccstore.Open(memory.New(), ccstore.Options{Logger: slog.New(panicLog{t})})
		defer store.Close()
		near, far := net.Pipe()
		s := New(store, Options{})
		done := make(chan struct{})
		go func() {
			s.ServeConn(context.Background(), far, user(1000))
			close(done)
		}()
		defer func() { near.Close(); <-done }()
		m := newModel()
		c := kcmclient.New(near)
		for len(b) >= 2 && !t.Failed() {
			m.step(t, c, b[0], b[1])
			b = b[2:]
		}
		if err := store.Check(t.Context()); err != nil {
			t.Fatal(err)
		}
	})
}

// A model does what the server should, in the plainest way.
type model struct {
	caches  map[string]*modelCache
	order   []string // of creation
	primary string
}

type modelCache struct {
	principal []byte
	offset    []byte
	creds     []*ccache.Credential
}

func newModel() *model { return &model{caches: make(map[string]*modelCache), primary: "1000"} }

var (
	modelNames   = []string{"1000", "1000:a", "1000:b", "1001", "foo", ""}
	modelServers = []string{"host/a@LAB.TEST", "host/b@LAB.TEST", "host/a@X", "krbtgt/LAB.TEST@LAB.TEST"}
)

// own reports whether uid 1000 may have a cache of that name.
func own(name string) bool { return name == "1000" || strings.HasPrefix(name, "1000:") }

// meant returns the name that an empty one stands for.
func (m *model) meant(name string) string {
	if name == "" {
		return m.primary
	}
	return name
}

func (m *model) step(t *testing.T, c *kcmclient.Client, what, detail byte) {
	wire := modelNames[int(detail)%len(modelNames)]
	name := m.meant(wire)
	cr := testCred(modelServers[int(detail>>3)%len(modelServers)])
	cr.Key.Type = int16(17 + detail>>7)
	cr.IsSKey = detail >> 6 & 1
	if detail>>5&1 == 1 {
		cr = storetest.Config(alice, "key", string(rune('a'+detail%3)))
	}
	match := ccache.Match{Flags: ccache.MatchFlags(detail>>3&7) << 28 & (ccache.MatchServerNameOnly | ccache.MatchKeyType | ccache.MatchNoRealm), Server: &cr.Server, KeyType: 18}
	if detail>>6&1 == 1 {
		match.Flags |= ccache.MatchIsSKey
		match.IsSKey = true
	}
	cache := m.caches[name]

	var op kcm.Opcode
	var args, data []byte
	code := kcm.OK
	switch what % 14 {
	case 0:
		op, args = kcm.OpInitialize, append(str(wire), princ(alice)...)
		code = m.fill(name, princ(alice), u32(0), nil)
	case 1:
		op, args = kcm.OpReplace, slices.Concat(str(wire), u32(uint32(detail)), princ(alice), u32(2), inner(cr), inner(credB))
		code = m.fill(name, princ(alice), u32(uint32(detail)), []*ccache.Credential{cr, credB})
	case 2, 3, 4:
		op, args = kcm.OpStore, append(str(wire), cred(cr)...)
		if code = kcm.FCCNoFile; cache != nil {
			code = kcm.OK
			cache.store(cr)
		}
	case 5, 6:
		op, args = kcm.OpRetrieve, append(str(wire), mcred(match)...)
		if code = kcm.FCCNoFile; cache != nil {
			code = kcm.CCNotFound
			if offsetMatters(int32(binary.BigEndian.Uint32(cache.offset))) {
				code = kcm.FCCInternal
			} else if i := slices.IndexFunc(cache.creds, match.Matches); i >= 0 {
				code, data = kcm.OK, cred(cache.creds[i])
			}
		}
	case 7:
		op, args = kcm.OpRemoveCred, append(str(wire), mcred(match)...)
		if code = kcm.FCCNoFile; cache != nil {
			code = kcm.OK
			cache.creds = slices.DeleteFunc(cache.creds, match.Matches)
		}
	case 8:
		op, args = kcm.OpDestroy, str(wire)
		if code = kcm.FCCNoFile; cache != nil {
			code = kcm.OK
			m.drop(name)
		}
	case 9:
		op, args = kcm.OpGetCredList, str(wire)
		if code = kcm.FCCNoFile; cache != nil {
			code, data = kcm.OK, u32(uint32(len(cache.creds)))
			for _, cr := range cache.creds {
				data = append(data, inner(cr)...)
			}
		}
	case 10:
		op, args = kcm.OpSetDefaultCache, str(wire)
		if code = kcm.FCCPerm; own(name) {
			code = kcm.OK
			m.primary = name
		}
	case 11:
		op, data = kcm.OpGetDefaultCache, str(m.primary)
	case 12:
		to := modelNames[int(detail>>3)%len(modelNames)]
		op, args = kcm.OpMoveCache, append(str(wire), str(to)...)
		code = m.move(name, m.meant(to))
	case 13:
		op, args = kcm.OpGetKDCOffset, str(wire)
		if code = kcm.FCCNoFile; cache != nil {
			code, data = kcm.OK, cache.offset
		}
	}
	got, err := c.Call(op, args)
	gotCode := kcm.OK
	if err != nil && !errors.As(err, &gotCode) {
		if errors.Is(err, io.EOF) {
			t.Fatalf("%v: the connection ended", op)
		}
		t.Fatalf("%v: %v", op, err)
	}
	if gotCode != code || !bytes.Equal(got, data) {
		t.Errorf("%v of %q: %v %q, want %v %q", op, wire, gotCode, got, code, data)
	}
	m.compareList(t, c)
}

// compareList compares the caches and their order.
func (m *model) compareList(t *testing.T, c *kcmclient.Client) {
	list, err := c.Call(kcm.OpGetCacheUUIDList, nil)
	if err != nil {
		t.Fatal(err)
	}
	names := []string{}
	for _, id := range uuids(t, list) {
		name, err := c.Call(kcm.OpGetCacheByUUID, id[:])
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, strings.TrimSuffix(string(name), "\x00"))
	}
	expected := []string{}
	if m.caches[m.primary] != nil {
		expected = append(expected, m.primary)
	}
	for _, name := range m.order {
		if name != m.primary {
			expected = append(expected, name)
		}
	}
	if !slices.Equal(names, expected) {
		t.Errorf("caches %v, want %v", names, expected)
	}
}

func (m *model) fill(name string, principal, offset []byte, creds []*ccache.Credential) kcm.Code {
	if !own(name) {
		return kcm.FCCPerm
	}
	if m.caches[name] == nil {
		m.order = append(m.order, name)
	}
	cache := &modelCache{principal: principal, offset: offset}
	for _, cr := range creds {
		cache.store(cr)
	}
	m.caches[name] = cache
	return kcm.OK
}

func (m *model) drop(name string) {
	delete(m.caches, name)
	m.order = slices.DeleteFunc(m.order, func(s string) bool { return s == name })
}

func (m *model) move(from, to string) kcm.Code {
	cache := m.caches[from]
	if cache == nil {
		return kcm.FCCNoFile
	}
	if !own(to) {
		return kcm.FCCPerm
	}
	switch {
	case from == to:
	case m.caches[to] == nil: // another name in the same place
		m.order[slices.Index(m.order, from)] = to
		m.caches[to] = cache
		delete(m.caches, from)
	default:
		m.fill(to, cache.principal, cache.offset, cache.creds)
		m.drop(from)
	}
	return kcm.OK
}

func (c *modelCache) store(cr *ccache.Credential) {
	if i := slices.IndexFunc(c.creds, cr.Replaces); i >= 0 {
		c.creds[i] = cr
		return
	}
	c.creds = append(c.creds, cr)
}
