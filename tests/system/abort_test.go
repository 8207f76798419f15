package system

import (
	"net"
	"strings"
	"syscall"
	"testing"

	"kcmd.org/kcmd/kcmserver/kcm/client"
)

// A writeTeller tells of its writes, before the reads that wait for an answer.
type writeTeller struct {
	net.Conn
	written chan struct{}
}

func (c writeTeller) Write(b []byte) (int, error) {
	n, err := c.Conn.Write(b)
	c.written <- struct{}{}
	return n, err
}

// The watchdog of systemd ends a daemon by SIGABRT. One that only stood still answers the
// request that came meanwhile, and its log says what it did.
func TestAbortAnswers(t *testing.T) {
	_, d := newLab(t)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("unix", d.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	written := make(chan struct{}, 2)
	c := client.New(writeTeller{conn, written})
	if err := c.Noop(); err != nil { // it is accepted
		t.Fatal(err)
	}
	<-written
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := syscall.Kill(d.PID(), s); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	answer := make(chan error, 1)
	go func() { answer <- c.Noop() }()
	<-written
	signal(syscall.SIGABRT)
	signal(syscall.SIGCONT)
	if err := <-answer; err != nil {
		t.Errorf("the request has no answer: %v", err)
	}
	waitFor(t, "the end", func() bool { return !d.Running() })
	if err := d.Stop(); err == nil || !strings.Contains(err.Error(), "exit status 2") {
		t.Errorf("%v; want exit status 2", err)
	}
	for _, part := range []string{"goroutine ", "ended by SIGABRT"} {
		if !strings.Contains(d.Log(), part) {
			t.Errorf("the log does not have %q:\n%s", part, d.Log())
		}
	}
}
