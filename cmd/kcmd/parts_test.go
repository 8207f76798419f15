package main

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// A diary lists the actions of parts in order.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) add(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

// A recorded part adds to a diary when it starts and ends.
type recorded struct {
	name  string
	diary *diary
	ready chan struct{}
	slow  time.Duration // until it is ready
	fail  error         // what it returns
	stuck chan struct{} // if not nil, its end waits for this
	early bool          // it returns before ctx is done
}

func (p *recorded) Ready() <-chan struct{} { return p.ready }

func (p *recorded) Run(ctx context.Context) error {
	time.Sleep(p.slow)
	p.diary.add("+" + p.name)
	close(p.ready)
	if !p.early {
		<-ctx.Done()
	}
	if p.stuck != nil {
		<-p.stuck
	}
	p.diary.add("-" + p.name)
	return p.fail
}

func newRecorded(d *diary, name string) *recorded {
	return &recorded{name: name, diary: d, ready: make(chan struct{})}
}

func testLog() (*slog.Logger, *output) {
	out := new(output)
	return slog.New(slog.NewTextHandler(out, nil)), out
}

// Each part starts when the previous one is ready. They end in reverse.
func TestPartsInOrder(t *testing.T) {
	d := new(diary)
	a, b, c := newRecorded(d, "a"), newRecorded(d, "b"), newRecorded(d, "c")
	a.slow = 20 * time.Millisecond
	b.slow = 10 * time.Millisecond
	ctx, cancel := context.WithCancel(t.Context())
	log, out := testLog()
	ended := make(chan error)
	go func() {
		ended <- runParts(ctx, []row{{name: "a", part: a, start: time.Minute}, {name: "b", part: b, start: time.Minute}, {name: "c", part: c}}, log)
	}()
	<-c.ready
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if want := []string{"+a", "+b", "+c", "-c", "-b", "-a"}; !slices.Equal(d.entries, want) || out.String() != "" {
		t.Errorf("got %v, want %v\n%s", d.entries, want, out.String())
	}
}

// The daemon ends with a vital part and returns its error. The failure of another part
// is logged.
func TestPartsThatFail(t *testing.T) {
	d := new(diary)
	store, bus, socket := newRecorded(d, "store"), newRecorded(d, "bus"), newRecorded(d, "socket")
	bus.fail, bus.early = errors.New("no bus"), true
	socket.fail, socket.early = errors.New("no socket"), true
	store.fail = errors.New("disk full")
	log, out := testLog()
	err := runParts(t.Context(), []row{{name: "store", part: store, vital: true, start: time.Minute}, {name: "bus", part: bus, start: time.Minute}, {name: "socket", part: socket, vital: true}}, log)
	if err == nil || err.Error() != "no socket\ndisk full" {
		t.Errorf("got %v", err)
	}
	if d.entries[len(d.entries)-1] != "-store" {
		t.Errorf("order: %v", d.entries)
	}
	if !strings.Contains(out.String(), `msg="bus failed; continuing without it" err="no bus"`) {
		t.Errorf("log:\n%s", out.String())
	}
}

// A part that is not ready, or does not end, delays others only for the time in its
// row.
func TestPartsThatHang(t *testing.T) {
	d := new(diary)
	bus, last := newRecorded(d, "bus"), newRecorded(d, "last")
	bus.stuck = make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	log, out := testLog()
	ended := make(chan error)
	go func() {
		ended <- runParts(ctx, []row{{name: "D-Bus", part: hidden{bus}, start: time.Millisecond, stop: time.Millisecond}, {name: "last", part: last}}, log)
	}()
	<-last.ready
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	close(bus.stuck)
	for _, want := range []string{"D-Bus is not ready yet; continuing without it", "timed out disconnecting from D-Bus"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

// A hidden part is never ready.
type hidden struct{ *recorded }

func (hidden) Ready() <-chan struct{} { return nil }

// After the end of ctx, no part starts.
func TestPartsNotStarted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	log, _ := testLog()
	d := new(diary)
	if err := runParts(ctx, []row{{name: "a", part: newRecorded(d, "a")}}, log); err != nil || d.entries != nil {
		t.Errorf("got %v, %v", d.entries, err)
	}
}
