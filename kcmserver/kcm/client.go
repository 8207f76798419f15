package kcm

import (
	"context"
	"net"
)

// A Client sends requests over one connection, one at a time. It is for tests
// and tools: it neither reconnects nor locks.
type Client struct {
	conn net.Conn
	buf  []byte
}

// Dial connects to the KCM server at a socket's path.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return NewClient(conn), nil
}

// NewClient returns a client over conn, which it closes at its own end.
func NewClient(conn net.Conn) *Client { return &Client{conn: conn} }

// Call sends a request and returns the data of its reply. A reply with a code
// other than OK is a Code as error.
func (c *Client) Call(op Opcode, args []byte) ([]byte, error) {
	c.buf = AppendRequest(c.buf[:0], op, args)
	if _, err := c.conn.Write(c.buf); err != nil {
		return nil, err
	}
	code, data, err := ReadReply(c.conn)
	if err != nil {
		return nil, err
	}
	if code != OK {
		return nil, code
	}
	return data, nil
}

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }
