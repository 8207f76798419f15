package kcmserver

import (
	"context"
	"runtime/debug"
	"sync"
	"time"

	"kcmd.org/kcmd/budget"
	"kcmd.org/kcmd/ccstore"
)

// Nearly all requests and replies are small. A large one takes up to 10 MiB, and
// stays until the client has sent or read it. So what a request takes above
// keepBuffer is charged to the account of the peer. It is charged before it is
// taken, and in few steps: two requests of one account that each hold a part
// wait for each other until the client timeout.

// elementSize is the memory of an element (ccache.Decoder.Elements) besides its
// bytes.
const elementSize = 32

// hold charges n bytes to the peer's account until release. At the limit it
// waits, without its turn, at most as long as the client timeout and until
// Shutdown. It fails with budget.ErrExceeded.
func (c *conn) hold(n int64) error {
	if n <= 0 {
		return nil
	}
	if c.server.memory.Take(c.account, n) != nil {
		if err := c.waitForMemory(n); err != nil {
			return err
		}
	}
	c.held += n
	return nil
}

func (c *conn) waitForMemory(n int64) error {
	hadTurn := c.turn.Running()
	c.endTurn()
	ctx, cancel := context.WithTimeout(c.server.running, c.server.clientTimeout)
	defer cancel()
	if err := c.server.memory.Wait(ctx, c.account, n, c.held); err != nil {
		return err
	}
	if !hadTurn {
		return nil
	}
	if err := c.beginTurn(c.call.ctx); err != nil {
		c.server.memory.Give(c.account, n)
		return err
	}
	return nil
}

// release gives back what the request held.
func (c *conn) release() {
	if c.held > 0 {
		c.server.memory.Give(c.account, c.held)
		c.held = 0
		c.server.trimmer.touch()
	}
}

// When memory is given back to the system: once no large request has ended for a
// while, and once more, since what large requests have stored may have been
// removed a little later.
const (
	trimAfter = time.Second
	trimAgain = 5 * time.Second
)

// A trimmer gives memory back to the system. Without it the memory stays ours
// until the next collection, which a daemon with little to do does not need for
// minutes.
type trimmer struct {
	mu    sync.Mutex
	timer *time.Timer
	again bool
}

// touch has the trimmer work in a while.
func (t *trimmer) touch() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.again = true
	if t.timer == nil {
		t.timer = time.AfterFunc(trimAfter, t.trim)
	} else {
		t.timer.Reset(trimAfter)
	}
}

func (t *trimmer) trim() {
	debug.FreeOSMemory()
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.again {
		t.again = false
		t.timer.Reset(trimAgain)
	}
}

// beginTurn waits for a turn of the peer's account to decode, to read and to change.
func (c *conn) beginTurn(ctx context.Context) (err error) {
	c.turn, err = c.member.Begin(ctx)
	return err
}

// endTurn ends the turn, if c has one: before c waits for something else.
func (c *conn) endTurn() {
	if c.turn.Running() {
		c.turn.End()
		c.turn = budget.Turn{}
	}
}

// account returns who is charged for what the peer does.
func (p Peer) account() budget.Account { return accountOf(p.Namespace, p.UID) }

// accountOf returns the account of a uid: that of root in the default namespace
// is the zero Account.
func accountOf(namespace string, uid uint32) budget.Account {
	if namespace == ccstore.DefaultNamespace {
		namespace = ""
	}
	return budget.Account{Namespace: namespace, UID: uid}
}
