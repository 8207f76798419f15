package kcmserver

import (
	"context"
	"os"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
)

// Nearly all requests and replies are small. A large one takes up to 10 MiB of
// memory until the client has sent or read it. So the memory of a request above
// freeMemory is charged to the account of the peer, before it is allocated. It is
// charged in few steps: two requests of one account that each hold a part of what
// they need wait for each other until the client timeout.

// elementSize is the memory of an element (ccache.Decoder.Elements) in addition to
// its bytes.
const elementSize = 32

// hold charges n bytes to the peer's account until release. At the limit of the
// account it ends its turn and waits, until the client timeout or Shutdown at the
// latest. It fails with budget.ErrExceeded.
func (c *conn) hold(n int64) error {
	if n <= 0 || c.holdNow(n) {
		return nil
	}
	return c.waitForMemory(n)
}

// holdNow is hold, if that need not wait.
func (c *conn) holdNow(n int64) bool {
	if c.server.memory.Take(c.account, n) != nil {
		return false
	}
	c.held += n
	return true
}

func (c *conn) waitForMemory(n int64) error {
	hadTurn := c.turn.Running()
	c.endTurn()
	ctx, cancel := context.WithTimeout(c.server.running, c.server.timeout())
	defer cancel()
	if err := c.server.memory.Wait(ctx, c.account, n, c.held); err != nil {
		return err
	}
	c.held += n
	if !hadTurn {
		return nil
	}
	return c.beginTurn(c.call.ctx)
}

// trimFrom is how many bytes the requests of all hold at once for the memory to be given
// back to the system afterwards.
const trimFrom = 1 << 20

// release ends the charge of all that hold charged.
func (c *conn) release() {
	if c.held == 0 {
		return
	}
	if c.server.memory.Total() > trimFrom {
		c.server.trimmer.Touch()
	}
	c.server.memory.Give(c.account, c.held)
	c.held = 0
}

// beginTurn waits for a turn of the peer's account, in which c decodes, reads and
// changes.
func (c *conn) beginTurn(ctx context.Context) (err error) {
	c.turn, err = c.member.Begin(ctx)
	return err
}

// endTurn ends the turn of c, if it has one. It is called before c waits.
func (c *conn) endTurn() {
	if c.turn.Running() {
		c.turn.End()
		c.turn = budget.Turn{}
	}
}

// account returns the account that is charged for the requests of the peer.
func (p Peer) account() budget.Account {
	if p.PID == int32(os.Getpid()) {
		return budget.Daemon
	}
	return accountOf(p.Namespace, p.UID)
}

// accountOf returns the account of a uid. That of root in the default namespace is
// the zero Account.
func accountOf(namespace string, uid uint32) budget.Account {
	if namespace == ccstore.DefaultNamespace {
		namespace = ""
	}
	return budget.Account{Namespace: namespace, UID: uid}
}
