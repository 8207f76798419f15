package kcmserver

import (
	"errors"
	"testing"
	"time"
)

// A user has a few large requests at a time, and then waits; nobody else does.
func TestLargeQueue(t *testing.T) {
	var q largeQueue
	var held []func()
	for range largePerUID {
		release, err := q.acquire(1000, patience, nil)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, release)
	}
	if _, err := q.acquire(1000, time.Millisecond, nil); !errors.Is(err, errTooLarge) {
		t.Errorf("one more: %v, want %v", err, errTooLarge)
	}
	stop := make(chan struct{})
	close(stop)
	if _, err := q.acquire(1000, patience, stop); !errors.Is(err, errTooLarge) {
		t.Errorf("at the end: %v, want %v", err, errTooLarge)
	}
	other, err := q.acquire(1001, patience, nil)
	if err != nil {
		t.Fatalf("another user: %v", err)
	}
	other()

	waits := make(chan error)
	go func() {
		release, err := q.acquire(1000, patience, nil)
		if err == nil {
			release()
		}
		waits <- err
	}()
	held[0]()
	if err := <-waits; err != nil {
		t.Errorf("whose turn it is: %v", err)
	}
	for _, release := range held[1:] {
		release()
	}
	if len(q.turns) != 0 {
		t.Errorf("%d users are still known", len(q.turns))
	}
}
