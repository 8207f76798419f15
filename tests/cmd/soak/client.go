package main

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/tests/lab"
)

// patience is how long an answer may take. It is far above what is measured:
// only a broken daemon gets there.
const patience = 60 * time.Second

// A client sends requests as some user, over one connection.
type client struct {
	conn     net.Conn
	kcm      *kcm.Client
	turn     int64 // of the daemon's life, when it connected
	requests *atomic.Int64
}

// dial connects as a user. It counts its requests.
func (s *stage) dial(uid int) (*client, error) {
	turn := s.life.turn()
	conn, err := lab.DialAs(uid, s.life.daemon.Socket, patience)
	if err != nil {
		return nil, broken{err, turn}
	}
	return &client{conn, kcm.NewClient(conn), turn, &s.tally.requests}, nil
}

// A broken is a connection's error, as opposed to an answer.
type broken struct {
	err  error
	turn int64 // of the daemon's life, when it connected
}

func (b broken) Error() string { return b.err.Error() }
func (b broken) Unwrap() error { return b.err }

// call sends a request and returns the data of its reply. The error is a
// kcm.Code or broken.
func (c *client) call(op kcm.Opcode, args ...[]byte) ([]byte, error) {
	_ = c.conn.SetDeadline(time.Now().Add(patience)) // a closed connection says so next
	var all []byte
	for _, a := range args {
		all = append(all, a...)
	}
	c.requests.Add(1)
	data, err := c.kcm.Call(op, all)
	if code := kcm.OK; err != nil && !errors.As(err, &code) {
		return nil, broken{err, c.turn}
	}
	return data, err
}

func (c *client) close() { c.conn.Close() }

func isBroken(err error) bool {
	var b broken
	return errors.As(err, &b)
}

// excused tells whether err is a connection's error, which is no fault because
// the daemon was ended since the connection was made.
func (s *stage) excused(err error) bool {
	var b broken
	return errors.As(err, &b) && s.life.interrupted(b.turn)
}

// name is a cache's name as an argument.
func name(s string) []byte { return kcm.AppendName(nil, s) }
