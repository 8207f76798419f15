package kcmserver

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"time"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// keepBuffer bounds the memory that a connection holds between requests.
const keepBuffer = 64 << 10

// A conn is one client's connection. All but its idle time is for the one
// goroutine that serves it.
type conn struct {
	server *Server
	peer   Peer
	net    net.Conn
	in     *bufio.Reader
	buf    []byte // of the request's body
	call   call   // the one that is being answered

	writeBy time.Time // the deadline that is set for writing

	endTurn func() // of a large request, nil without one

	lists listings // as GET_CRED_UUID_LIST last told them

	// idleSince is when the last reply was sent, in nanoseconds since 1970, or
	// 0 while a request is being received or answered. Before the first request
	// it is when that must have come.
	idleSince atomic.Int64
}

func (s *Server) newConn(c net.Conn, peer Peer) *conn {
	cn := &conn{server: s, peer: peer, net: c, in: bufio.NewReaderSize(c, 4<<10)}
	cn.call.out.begin()
	// Its first request is on the way: others are dismissed before it.
	cn.idleSince.Store(time.Now().Add(s.clientTimeout).UnixNano())
	return cn
}

// serve answers requests until the client goes, sends what is no request, or
// the server shuts down.
func (c *conn) serve(ctx context.Context) error {
	defer c.leaveLarge()
	for {
		req, err := c.receive()
		if errors.Is(err, errTooLarge) {
			if err = c.refuseLarge(err); err == nil {
				continue
			}
		}
		if err != nil {
			return c.ending(err)
		}
		start := time.Now()
		if err := c.reply(c.answer(ctx, req, start), start); err != nil {
			return c.ending(err)
		}
		c.call.end()
		c.idleSince.Store(start.UnixNano())
		if cap(c.buf) > keepBuffer {
			c.buf = nil
		}
		c.leaveLarge()
	}
}

// enterLarge is called before more than keepBuffer is held for a request or its
// reply. It waits for a turn, once a request.
func (c *conn) enterLarge() error {
	if c.endTurn != nil {
		return nil
	}
	var err error
	c.endTurn, err = c.server.large.acquire(c.peer.UID, c.server.clientTimeout, c.server.stopped)
	return err
}

func (c *conn) leaveLarge() {
	if c.endTurn != nil {
		c.endTurn()
		c.endTurn = nil
	}
}

// ending tells an end that is nobody's fault from the others.
func (c *conn) ending(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, net.ErrClosed) || c.server.closing.Load() {
		return nil
	}
	return err
}

// receive waits for a request, as long as it takes. Once the first byte is
// here, the rest must come within the client timeout.
func (c *conn) receive() (kcm.Request, error) {
	if _, err := c.in.Peek(1); err != nil {
		return kcm.Request{}, err
	}
	c.idleSince.Store(0)
	if !c.buffered() {
		if err := c.limit(c.net.SetReadDeadline); err != nil {
			return kcm.Request{}, err
		}
		defer c.net.SetReadDeadline(time.Time{})
		if head, err := c.in.Peek(4); err == nil && binary.BigEndian.Uint32(head) > keepBuffer {
			if err := c.enterLarge(); err != nil {
				return kcm.Request{}, err
			}
			// Waiting for us does not count.
			if err := c.limit(c.net.SetReadDeadline); err != nil {
				return kcm.Request{}, err
			}
		}
	}
	req, buf, err := kcm.ReadRequest(c.in, c.buf)
	c.buf = buf
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("request stopped half way: %w", err)
	}
	return req, err
}

// refuseLarge answers a large request whose turn did not come. It reads the
// request without keeping it.
func (c *conn) refuseLarge(why error) error {
	head, err := c.in.Peek(4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(head)
	if n > kcm.MaxLen {
		return why // and no request
	}
	if err := c.limit(c.net.SetReadDeadline); err != nil {
		return err
	}
	defer c.net.SetReadDeadline(time.Time{})
	if _, err := c.in.Discard(4 + int(n)); err != nil {
		return err
	}
	c.server.refusals.Info("request refused", "uid", c.peer.UID, "pid", c.peer.PID, "bytes", n, "err", why)
	now := time.Now()
	c.idleSince.Store(now.UnixNano())
	return c.reply(code(why), now)
}

// buffered reports whether a whole request is here already, as it nearly always
// is, so that no deadline is needed.
func (c *conn) buffered() bool {
	n := c.in.Buffered()
	if n < 4 {
		return false
	}
	head, _ := c.in.Peek(4)
	return uint64(n) >= 4+uint64(binary.BigEndian.Uint32(head))
}

// limit sets a deadline of the client timeout from now.
func (c *conn) limit(set func(time.Time) error) error {
	return set(time.Now().Add(c.server.clientTimeout))
}

// stopReading has the client fail to send more, so that libkrb5 connects anew,
// while what it has sent is still answered. Closing the socket would lose that.
func (c *conn) stopReading() {
	if r, ok := c.net.(interface{ CloseRead() error }); ok && r.CloseRead() == nil {
		return
	}
	c.net.Close()
}

// answer makes the reply to a request, which came at start, and returns its code.
func (c *conn) answer(ctx context.Context, req kcm.Request, start time.Time) kcm.Code {
	call := &c.call // memory that is used again
	call.begin(ctx, c, req.Args, start)
	err := call.run(req.Opcode)
	if err != nil {
		call.out.begin()
	}
	result := code(err)
	c.logRequest(call, req, result, err)
	return result
}

// logRequest writes a line for each request at debug. What should not happen
// is seen without that: a fault of ours, and somebody trying what is not for
// him. That its disk fails the store says itself, once.
func (c *conn) logRequest(call *call, req kcm.Request, result kcm.Code, err error) {
	c.server.counters.count(req.Opcode, result)
	switch {
	case result == kcm.CCWrite && !errors.Is(err, ccstore.ErrBackend):
		c.server.log.Error("request failed", c.attrs(call, req, result, err)...)
	case result == kcm.FCCPerm, result == kcm.EDQUOT, result == kcm.CCNoMem:
		c.server.refusals.Info("request refused", c.attrs(call, req, result, err)...)
	case c.server.log.Enabled(call.ctx, slog.LevelDebug):
		c.server.log.Debug("request", c.attrs(call, req, result, err)...)
	}
}

func (c *conn) attrs(call *call, req kcm.Request, result kcm.Code, err error) []any {
	attrs := []any{"op", req.Opcode, "uid", c.peer.UID, "pid", c.peer.PID}
	if c.peer.Namespace != ccstore.DefaultNamespace {
		attrs = append(attrs, "namespace", c.peer.Namespace)
	}
	attrs = append(attrs, "cache", call.args.name, "code", result, "took", time.Since(call.start))
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	return attrs
}

// reply sends the reply. now is the time, or a little before.
func (c *conn) reply(result kcm.Code, now time.Time) error {
	if err := c.limitReply(now); err != nil {
		return err
	}
	err := c.call.out.send(c.net, result)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("client does not read its reply: %w", err)
	}
	return err
}

// limitReply sees to it that there is a deadline for writing, of the client
// timeout from now or a little more: it is set anew once in many replies, since
// that costs as much as looking up a ticket.
func (c *conn) limitReply(now time.Time) error {
	timeout := c.server.clientTimeout
	if c.writeBy.Sub(now) >= timeout {
		return nil
	}
	c.writeBy = time.Now().Add(timeout + timeout/8)
	return c.net.SetWriteDeadline(c.writeBy)
}
