package kcmserver

import (
	"context"
	"fmt"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/google/uuid"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/kcmserver/selinux"
)

// A call is one request while it is answered.
type call struct {
	ctx   context.Context
	conn  *conn
	start time.Time // when the request had arrived
	in    kcm.Decoder
	args  arguments
	perm  selinux.Permission // of the operation's row
	puts  int                // pieces put into the reply

	charged int // bytes of the reply that the account is charged for

	destroyed uuid.UUID // the cache that the request destroys
	want      signIn    // what the user has to do, as it shows
}

// begin makes c the call of a request on a connection. Its memory is used again.
func (c *call) begin(ctx context.Context, conn *conn, args []byte, start time.Time) {
	in := c.in
	if in.Decoder == nil {
		in = kcm.NewDecoder(nil)
	}
	in.Reset(args)
	*c = call{ctx: ctx, conn: conn, start: start, in: in}
}

// end drops what the call holds: the connection may be idle for days, and the
// arguments have secrets.
func (c *call) end() {
	if c.in.Decoder != nil {
		c.in.Reset(nil)
	}
	c.args = arguments{}
}

// run decodes the arguments of the operation and has its handler answer, in a turn
// of the peer's account, which goes on with the reply. A panic fails this one request.
func (c *call) run(opcode kcm.Opcode) (err error) {
	op, ok := ops[opcode]
	if !ok {
		return errUnsupported
	}
	if err := c.conn.beginTurn(c.ctx); err != nil {
		return err
	}
	defer func() {
		if r := recover(); r != nil {
			c.conn.server.log.Error("request panicked", "op", opcode, "panic", fmt.Sprint(r), "stack", string(debug.Stack()))
			err = ccstore.ErrInternal
		}
	}()
	if err := c.decode(op.args); err != nil {
		return err
	}
	c.perm = op.perm
	return op.handler.run(c)
}

// pause lets others have a turn, in the middle of long work.
func (c *call) pause() error {
	if !c.conn.turn.Running() {
		return nil
	}
	runtime.Gosched()
	var err error
	c.conn.turn, err = c.conn.turn.Yield(c.ctx)
	return err
}

// pauseEvery is how many pieces of a reply are put between two pauses.
const pauseEvery = 512

// A handler answers an operation. There is a type for each way to reach the
// caches: the handlers themselves check no permission.
type handler interface{ run(*call) error }

// A plain handler needs no particular cache.
type plain func(*call) error

// A read handler gets the cache that the request names.
type read func(*call, found) error

// A change handler changes the cache that the request names.
type change func(*call, *ccstore.Tx) error

// A create handler creates the cache that the request names, or fills it anew.
type create func(*call, *ccstore.Tx)

func (h plain) run(c *call) error { return h(c) }

func (h read) run(c *call) error {
	cache, err := c.lookup(c.args.name)
	if err != nil {
		return err
	}
	return h(c, cache)
}

func (h change) run(c *call) error {
	cache, err := c.lookup(c.args.name)
	if err != nil {
		return err
	}
	return c.update(cache.owner, c.args.name, func(tx *ccstore.Tx) error { return h(c, tx) })
}

func (h create) run(c *call) error {
	return c.create(c.args.name, func(tx *ccstore.Tx) { h(c, tx) })
}

// put appends to the reply's data.
func (c *call) put(b []byte) error {
	if err := c.room(len(b)); err != nil {
		return err
	}
	c.conn.out.add(b)
	if c.puts++; c.puts%pauseEvery == 0 {
		return c.pause()
	}
	return nil
}

func (c *call) putUint32(n uint32) error {
	if err := c.room(4); err != nil {
		return err
	}
	c.conn.out.addUint32(n)
	return nil
}

func (c *call) putName(name string) error { return c.put(kcm.AppendName(nil, name)) }

// room makes sure that the reply may have n more bytes, and charges them if they
// are many: all of it at once, where the handler knows how many.
func (c *call) room(n int) error {
	size := c.conn.out.size + n
	if size-kcm.ReplyHeaderLen > kcm.MaxReplyData {
		return errReplyTooLarge
	}
	if size <= freeMemory || size <= c.charged {
		return nil
	}
	if err := c.conn.hold(int64(size - c.charged)); err != nil {
		return err
	}
	c.charged = size
	return nil
}
