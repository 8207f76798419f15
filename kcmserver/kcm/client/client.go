package client

import (
	"context"
	"fmt"
	"net"

	"kcmd.org/kcmd/kcmserver/kcm"
)

// A Client sends requests over one connection, one at a time. It neither
// reconnects nor locks, and it sets no deadline: a caller that needs one sets it
// on the connection that it gives to New.
//
// Every method returns an error that wraps a kcm.Code if the server answered
// with one, so that errors.Is(err, kcm.FCCNoFile) and the like work; an error
// that wraps ccache.ErrFormat if the data of the reply are malformed; or else
// the error of the connection, which cannot be used any more.
type Client struct {
	conn net.Conn
	buf  []byte
}

// Dial connects to the KCM server at a socket's path. The context bounds only
// the time to connect.
func Dial(ctx context.Context, path string) (*Client, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", path)
	if err != nil {
		return nil, err
	}
	return New(conn), nil
}

// New returns a client over conn, which Close closes.
func New(conn net.Conn) *Client { return &Client{conn: conn} }

// Close closes the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Call sends a request with encoded arguments, and returns the data of its
// reply. A reply with a code other than OK is returned as that kcm.Code.
func (c *Client) Call(op kcm.Opcode, args []byte) ([]byte, error) {
	c.buf = kcm.AppendRequest(c.buf[:0], op, args)
	if _, err := c.conn.Write(c.buf); err != nil {
		return nil, err
	}
	code, data, err := kcm.ReadReply(c.conn)
	if err != nil {
		return nil, err
	}
	if code != kcm.OK {
		return nil, code
	}
	return data, nil
}

// do sends a request whose reply has no data.
func (c *Client) do(op kcm.Opcode, args []byte) error {
	_, err := c.get(op, args)
	return err
}

// get sends a request and returns the data of its reply.
func (c *Client) get(op kcm.Opcode, args []byte) (kcm.Decoder, error) {
	data, err := c.Call(op, args)
	if err != nil {
		return kcm.Decoder{}, fmt.Errorf("%v: %w", op, err)
	}
	return kcm.NewDecoder(data), nil
}

// checked returns the error of decoding the reply to op.
func checked(op kcm.Opcode, d kcm.Decoder) error {
	if err := d.Err(); err != nil {
		return fmt.Errorf("reply to %v: %w", op, err)
	}
	return nil
}

// name encodes cache names, the arguments of most requests.
func name(names ...string) []byte {
	var b []byte
	for _, n := range names {
		b = kcm.AppendName(b, n)
	}
	return b
}
