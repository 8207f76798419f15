package main

import (
	"errors"
	"fmt"
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
	requests *atomic.Int64
}

// dial connects as a user. It counts its requests.
func (s *stage) dial(uid int) (*client, error) {
	conn, err := lab.DialAs(uid, s.life.daemon.Socket)
	if err != nil {
		return nil, broken{err}
	}
	return &client{conn, kcm.NewClient(conn), &s.tally.requests}, nil
}

// A broken is a connection's error, as opposed to an answer.
type broken struct{ err error }

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
		return nil, broken{fmt.Errorf("%v: %w", op, err)}
	}
	return data, err
}

func (c *client) close() { c.conn.Close() }

func isBroken(err error) bool {
	var b broken
	return errors.As(err, &b)
}

// name is a cache's name as an argument.
func name(s string) []byte { return kcm.AppendName(nil, s) }
