package kcmserver

import (
	"context"
	"net"
	"time"

	"kcmd.org/kcmd/budget"
)

// A refused peer gets an error code for its first request, and then the connection
// closes. Without an answer its user would read "Broken pipe" or "Connection reset by
// peer".

// refusalTime is how long a refused peer has to send its first request.
const refusalTime = time.Second

// turnAway refuses a connection, and answers its first request with the code of an
// error. At the limit of the account it closes the connection at once.
func (s *Server) turnAway(c net.Conn, peer Peer, a budget.Account, why error) {
	if s.closing.Load() || s.refusing.Take(a, 1) != nil {
		c.Close()
		return
	}
	s.serving.Add(1)
	go func() {
		defer s.serving.Done()
		defer s.refusing.Give(a, 1)
		defer c.Close()
		defer context.AfterFunc(s.running, func() { c.Close() })()
		_ = s.newConn(c, peer).answerOnce(why) // it is refused either way
	}()
}

// answerOnce answers one request with the code of an error, without keeping it.
func (c *conn) answerOnce(why error) error {
	defer c.giveBuffers()
	if err := c.net.SetReadDeadline(time.Now().Add(refusalTime)); err != nil {
		return err
	}
	if err := c.await(); err != nil {
		return err
	}
	if _, err := c.discard(); err != nil {
		return err
	}
	return c.reply(code(why))
}
