package kcmserver

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// A session is what real clients said to a server that follows MIT's rules, and
// what that answered, in order. It was recorded as uid 0.
type session struct {
	Title string `json:"title"`
	Steps []step `json:"steps"`
}

// A step is [connection, process, operation or OPEN or CLOSE, request in hex
// without its length, outer status, reply in hex without its outer status].
type step struct {
	Conn    int
	Process string
	Op      string
	Request []byte
	Reply   []byte
}

func (s *step) UnmarshalJSON(b []byte) error {
	var request, reply string
	var outer int
	fields := []any{&s.Conn, &s.Process, &s.Op, &request, &outer, &reply}
	if err := json.Unmarshal(b, &fields); err != nil {
		return err
	}
	var err error
	if s.Request, err = hex.DecodeString(request); err != nil {
		return err
	}
	s.Reply, err = hex.DecodeString(reply)
	return err
}

// TestSessions plays the recorded conversations again.
func TestSessions(t *testing.T) {
	files, err := filepath.Glob("testdata/sessions/*.json")
	if err != nil || len(files) == 0 {
		t.Fatalf("there are no sessions: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			var s session
			if err := json.Unmarshal(b, &s); err != nil {
				t.Fatal(err)
			}
			newReplay(t).play(s.Steps)
		})
	}
}

// A replay knows what the names and UUIDs of the recording are called now.
type replay struct {
	t       *testing.T
	server  *Server
	conns   map[int]*client
	was, is [][]byte // in pairs
}

func newReplay(t *testing.T) *replay {
	return &replay{t: t, server: newServer(t, Options{}), conns: make(map[int]*client)}
}

func (r *replay) play(steps []step) {
	for i, s := range steps {
		switch s.Op {
		case "OPEN":
			r.conns[s.Conn] = connect(r.t, r.server, user(0))
		case "CLOSE":
			r.conns[s.Conn].conn.Close()
		default:
			if err := r.call(s); err != nil {
				r.t.Errorf("step %d, %s of %s: %v", i, s.Op, s.Process, err)
			}
		}
	}
}

// call sends the request of a step and compares the reply.
func (r *replay) call(s step) error {
	request := r.now(s.Request)
	c := r.conns[s.Conn]
	frame := append(u32(uint32(len(request))), request...)
	if _, err := c.conn.Write(frame); err != nil {
		return err
	}
	code, data, err := kcm.ReadReply(c.conn)
	if err != nil {
		return err
	}
	got := append(u32(uint32(code)), data...)
	r.learn(s, got)
	if want := r.now(s.Reply); !bytes.Equal(got, want) {
		return fmt.Errorf("answered %v %q, want %q", code, data, want)
	}
	return nil
}

// now translates what was recorded.
func (r *replay) now(b []byte) []byte {
	for i := range r.was {
		b = bytes.ReplaceAll(b, r.was[i], r.is[i])
	}
	return b
}

// learn takes from a reply what a new name or UUID is called now.
func (r *replay) learn(s step, got []byte) {
	const codeLen = 4
	switch s.Op {
	case "GEN_NEW":
		r.pair(s.Reply[codeLen:], got[codeLen:])
	case "GET_CRED_UUID_LIST", "GET_CACHE_UUID_LIST":
		if len(got) != len(s.Reply) {
			return
		}
		for i := codeLen; i < len(got); i += 16 {
			r.pair(s.Reply[i:i+16], got[i:i+16])
		}
	}
}

func (r *replay) pair(was, is []byte) {
	if slices.ContainsFunc(r.was, func(b []byte) bool { return bytes.Equal(b, was) }) {
		return
	}
	r.was = append(r.was, was)
	r.is = append(r.is, is)
}
