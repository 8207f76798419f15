package kcmserver

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
)

// A conn is one client's connection. All but its idle time is for the one
// goroutine that serves it.
type conn struct {
	server *Server
	peer   Peer
	net    net.Conn
	call   call // the one that is being answered

	*buffers // nil while it waits for a request

	writeBy time.Time // the deadline that is set for writing

	account  budget.Account
	member   *budget.Member        // of the turns, while the connection is served
	turn     budget.Turn           // the one that it has
	pause    func() error          // call.pause
	raw      syscall.RawConn       // of net, nil if it has none
	sendNow  func(fd uintptr) bool // sendSome
	sendRest func(fd uintptr) bool // sendMore
	first    func(fd uintptr) bool // readFirst

	firstErr error       // of readFirst
	unsent   net.Buffers // of the reply
	sendErr  error       // of sendSome
	held     int64       // bytes of memory charged to the account for this request

	search search // of a client that looks for a ticket

	counted bool // among the account's connections; server.mu protects it

	// since is when the last request was answered, in nanoseconds since 1970. Before the
	// first request it is when that must have come. It is negative while a request
	// arrives that has begun then, and 0 while one is answered.
	since atomic.Int64
}

func (s *Server) newConn(c net.Conn, peer Peer) *conn {
	cn := &conn{server: s, peer: peer, account: peer.account(), net: c}
	cn.pause, cn.first, cn.sendNow, cn.sendRest = cn.call.pause, cn.readFirst, cn.sendSome, cn.sendMore // made once
	if sc, ok := c.(syscall.Conn); ok {
		cn.raw, _ = sc.SyscallConn()
	}
	// Its first request is on the way: others are dismissed before it.
	cn.since.Store(time.Now().Add(s.timeout()).UnixNano())
	return cn
}

// serve answers requests until the client goes, sends what is no request, or
// the server shuts down.
func (c *conn) serve(ctx context.Context) error {
	c.member = c.server.turns.Join(c.account)
	defer c.member.Leave()
	defer c.giveBuffers()
	defer c.rest()
	for {
		req, err := c.receive()
		if errors.Is(err, budget.ErrExceeded) {
			if err = c.refuseLarge(err); err == nil {
				c.rest()
				continue
			}
		}
		if err != nil {
			return c.ending(err)
		}
		result := c.answer(ctx, req)
		if err := c.reply(result); err != nil {
			return c.ending(err)
		}
		c.call.announceWant()
		c.rest()
	}
}

// rest gives back what a request needed. Its buffers are for the next one, if that
// has begun to come.
func (c *conn) rest() {
	if c.buffers == nil {
		return // there was none
	}
	c.endTurn()
	c.call.end()
	c.emptyBody()
	if c.in.Buffered() == 0 {
		c.giveBuffers()
	}
	c.release()
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
	if err := c.await(); err != nil {
		return kcm.Request{}, err
	}
	if !c.buffered() {
		c.since.Store(-time.Now().UnixNano())
		if err := c.limit(c.net.SetReadDeadline); err != nil {
			return kcm.Request{}, err
		}
		defer c.net.SetReadDeadline(time.Time{})
		if err := c.admit(); err != nil {
			return kcm.Request{}, err
		}
	}
	req, body, err := kcm.ReadRequest(c.in, c.body)
	c.body = body
	c.since.Store(0)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		err = fmt.Errorf("request stopped half way: %w", err)
	}
	return req, err
}

// admit charges a large request to the account before it is read. It fails with
// budget.ErrExceeded.
func (c *conn) admit() error {
	head, err := c.in.Peek(4)
	if err != nil {
		return nil // ReadRequest returns it
	}
	n := binary.BigEndian.Uint32(head)
	if n <= freeMemory || n > kcm.MaxLen {
		return nil
	}
	c.since.Store(0) // it waits for us, not for the client
	if err := c.hold(int64(n)); err != nil {
		return err
	}
	if cap(c.body) < int(n) {
		c.body = make([]byte, 0, n)
	}
	c.since.Store(-time.Now().UnixNano())
	return c.limit(c.net.SetReadDeadline)
}

// refuseLarge answers a large request for which there is no memory. It reads the
// request without keeping it.
func (c *conn) refuseLarge(why error) error {
	c.since.Store(-time.Now().UnixNano())
	if err := c.limit(c.net.SetReadDeadline); err != nil {
		return err
	}
	defer c.net.SetReadDeadline(time.Time{})
	n, err := c.discard()
	if err != nil {
		return err
	}
	c.server.refusals.Info(c.account, "request refused", "uid", c.peer.UID, "pid", c.peer.PID, "bytes", n, "err", why)
	return c.reply(code(why))
}

// discard reads a request without keeping it, and returns its size in bytes.
func (c *conn) discard() (size int, err error) {
	head, err := c.in.Peek(4)
	if err != nil {
		return 0, err
	}
	n := binary.BigEndian.Uint32(head)
	if n > kcm.MaxLen {
		return 0, fmt.Errorf("%w: length %d, at most %d is allowed", kcm.ErrFrame, n, kcm.MaxLen)
	}
	return c.in.Discard(4 + int(n))
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
	return set(time.Now().Add(c.server.timeout()))
}

// stopReading has the client fail to send more, so that libkrb5 connects anew,
// while what it has sent is still answered. Closing the socket would lose that.
func (c *conn) stopReading() {
	if r, ok := c.net.(interface{ CloseRead() error }); ok && r.CloseRead() == nil {
		return
	}
	c.net.Close()
}

// answer makes the reply to a request, and returns its code.
func (c *conn) answer(ctx context.Context, req kcm.Request) kcm.Code {
	call := &c.call // memory that is used again
	call.begin(ctx, c, req.Args, time.Now())
	err := call.run(req.Opcode)
	if err != nil {
		c.out.begin()
	}
	result := code(err)
	call.searched(req.Opcode, result)
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
		c.server.refusals.Info(c.account, "request refused", c.attrs(call, req, result, err)...)
	case c.server.log.Enabled(call.ctx, slog.LevelDebug):
		c.server.log.Debug("request", c.attrs(call, req, result, err)...)
	}
}

func (c *conn) attrs(call *call, req kcm.Request, result kcm.Code, err error) []any {
	attrs := []any{"op", req.Opcode, "uid", c.peer.UID, "pid", c.peer.PID}
	if c.peer.Namespace != ccstore.DefaultNamespace {
		attrs = append(attrs, "namespace", c.peer.Namespace)
	}
	attrs = append(attrs, "cache", cut(call.args.name), "code", result, "took", time.Since(call.start))
	if err != nil {
		attrs = append(attrs, "err", err)
	}
	return attrs
}

// cut returns the beginning of a name that no cache can have, for the log.
func cut(name string) string {
	if len(name) > maxNameLen {
		return name[:maxNameLen] + "..."
	}
	return name
}

// reply sends the reply. Its time begins here: the answer may have waited for long.
func (c *conn) reply(result kcm.Code) error {
	now := time.Now()
	c.since.Store(now.UnixNano()) // a client that does not read makes room too
	if err := c.limitReply(now); err != nil {
		return err
	}
	err := c.send(c.out.finish(result))
	c.out.begin()
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return fmt.Errorf("client does not read its reply: %w", err)
	}
	return err
}

// send sends the pieces of a reply. The turn goes on for one call, not for all of a large
// reply: others wait for it.
func (c *conn) send(pieces net.Buffers) error {
	if c.raw == nil {
		c.endTurn()
		_, err := pieces.WriteTo(c.net)
		return err
	}
	c.unsent = pieces
	if err := c.raw.Write(c.sendNow); err != nil {
		return err
	}
	if len(c.unsent) == 0 {
		return nil
	}
	c.endTurn()
	if err := c.raw.Write(c.sendRest); err != nil {
		return err
	}
	return c.sendErr
}

// sendSome sends of c.unsent what the socket takes in one call. An error comes again when
// the rest is sent.
func (c *conn) sendSome(fd uintptr) bool {
	c.unsent, c.sendErr = writeNow(fd, c.unsent)
	return true
}

// sendMore sends until the socket takes no more, and reports whether all is sent, or an error.
func (c *conn) sendMore(fd uintptr) bool {
	for c.sendErr = nil; len(c.unsent) > 0 && c.sendErr == nil; {
		c.sendSome(fd)
	}
	return !errors.Is(c.sendErr, unix.EAGAIN)
}

// limitReply sees to it that there is a deadline for writing, of the client
// timeout from now or a little more: it is set anew once in many replies, since
// that costs as much as looking up a ticket.
func (c *conn) limitReply(now time.Time) error {
	timeout := c.server.timeout()
	if c.writeBy.Sub(now) >= timeout {
		return nil
	}
	c.writeBy = now.Add(timeout + timeout/8)
	return c.net.SetWriteDeadline(c.writeBy)
}
