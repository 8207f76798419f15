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
	largePerUID  = 4
	largeRelease = time.Second // how long it is quiet before memory is given back
)

var errTooLarge = errors.New("too many large requests or replies at once")

// A largeQueue has users wait for their turn to have a large request.
type largeQueue struct {
	mu    sync.Mutex
	turns map[uint32]*turns
	idle  *time.Timer // gives memory back to the system
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

	timeout := time.NewTimer(patience)
	defer timeout.Stop()
	select {
	case t.free <- struct{}{}:
		return func() {
			<-t.free
			q.leave(uid, t)
		}, nil
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
	if q.idle == nil {
		q.idle = time.AfterFunc(largeRelease, debug.FreeOSMemory)
	} else {
		q.idle.Reset(largeRelease)
	}
}
