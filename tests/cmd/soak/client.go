package main

import (
	"errors"
	"net"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// patience is how long an answer may take. Only a broken daemon needs longer.
const patience = 60 * time.Second

// dial connects as a user, and counts the requests of the client.
func (s *stage) dial(uid int) (*client.Client, error) {
	turn := s.life.turn()
	raw, err := lab.DialAs(uid, s.life.daemon.Socket, patience)
	if err != nil {
		return nil, broken{err, turn}
	}
	return client.New(conn{raw, turn, &s.tally.requests}), nil
}

// A conn counts requests, and wraps errors of the connection.
type conn struct {
	net.Conn
	turn     int64 // of the daemon's life, when it connected
	requests *atomic.Int64
}

// Write writes a request.
func (c conn) Write(b []byte) (int, error) {
	_ = c.SetDeadline(time.Now().Add(patience)) // if closed, Write fails
	c.requests.Add(1)
	n, err := c.Conn.Write(b)
	return n, c.wrap(err)
}

// Read reads a part of a reply.
func (c conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	return n, c.wrap(err)
}

func (c conn) wrap(err error) error {
	if err == nil {
		return nil
	}
	return broken{err, c.turn}
}

// A broken is an error of a connection, not an answer.
type broken struct {
	err  error
	turn int64 // of the daemon's life, when it connected
}

// Error returns the error's text.
func (b broken) Error() string { return b.err.Error() }

// Unwrap returns the error.
func (b broken) Unwrap() error { return b.err }

func isBroken(err error) bool {
	var b broken
	return errors.As(err, &b)
}

// excused reports whether err is an error of a connection that was made before the
// daemon was stopped or killed.
func (s *stage) excused(err error) bool {
	var b broken
	return errors.As(err, &b) && s.life.interrupted(b.turn)
}
