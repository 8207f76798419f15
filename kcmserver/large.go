package kcmserver

import (
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"
)

// Nearly all requests and replies are small. One that is not may take 10 MiB,
// and stay for as long as the client takes to send or to read it, so that a
// user with all his connections could have gigabytes held for him. A few at a
// time are enough for every user who means well; the others wait, those of
// other users not for them.
const (
	largePerUID = 4

	// How long it is quiet before memory is given back, and before it is once
	// more: what large requests have stored may have gone a little later.
	largeRelease = time.Second
	largeAgain   = 5 * time.Second
)

var errTooLarge = errors.New("too many large requests or replies at once")

// A largeQueue has users wait for their turn to have a large request.
type largeQueue struct {
	mu    sync.Mutex
	turns map[uint32]*turns
	idle  *time.Timer // gives memory back to the system
	again bool        // it has to do so once more
}

type turns struct {
	free  chan struct{} // has a value for each turn that is taken
	users int           // who hold or wait for one
}

// acquire waits for a turn, at most as long as patience says and until stop is
// closed. The caller calls release when it is over.
func (q *largeQueue) acquire(uid uint32, patience time.Duration, stop <-chan struct{}) (release func(), err error) {
	q.mu.Lock()
	if q.turns == nil {
		q.turns = make(map[uint32]*turns)
	}
	t := q.turns[uid]
	if t == nil {
		t = &turns{free: make(chan struct{}, largePerUID)}
		q.turns[uid] = t
	}
	t.users++
	q.mu.Unlock()

	release = func() {
		<-t.free
		q.leave(uid, t)
	}
	select {
	case t.free <- struct{}{}:
		return release, nil // also once stop is closed
	default:
	}
	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case t.free <- struct{}{}:
		return release, nil
	case <-stop:
		q.leave(uid, t)
		return nil, fmt.Errorf("%w: the server ends", errTooLarge)
	case <-timeout.C:
		q.leave(uid, t)
		return nil, fmt.Errorf("%w: limit for uid %d is %d", errTooLarge, uid, largePerUID)
	}
}

func (q *largeQueue) leave(uid uint32, t *turns) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if t.users--; t.users == 0 {
		delete(q.turns, uid)
	}
	// Without this the memory stays ours until the next collection, which a
	// daemon with little to do does not need for minutes.
	q.again = true
	if q.idle == nil {
		q.idle = time.AfterFunc(largeRelease, q.giveBack)
	} else {
		q.idle.Reset(largeRelease)
	}
}

func (q *largeQueue) giveBack() {
	debug.FreeOSMemory()
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.again {
		q.again = false
		q.idle.Reset(largeAgain)
	}
}
