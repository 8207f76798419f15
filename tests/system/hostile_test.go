package system

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// Users of these tests. Nobody need have these numbers.
const (
	attackerUID = 61001
	witnessUID  = 61002
)

// A move is something that a client does that means harm, or is broken.
type move struct {
	name string
	// peak bounds the daemon's memory, in MiB: what the move may cost at most
	// as the design has it, and the daemon itself.
	peak int
	play func(t *testing.T, a *attack)
}

// base is the memory of the daemon itself: some 20 MiB at its start, and garbage,
// of which a busy machine collects less.
const base = 96

var moves = [][]move{frameMoves, argumentMoves, ticketMoves, floodMoves}

// Whatever one user does, it costs the daemon no more than so much memory, and
// nothing for good; and another user is served, meanwhile and afterwards.
func TestHostile(t *testing.T) {
	for _, group := range moves {
		for _, m := range group {
			t.Run(m.name, func(t *testing.T) { testMove(t, m) })
		}
	}
	if os.Getuid() != 0 {
		t.Run("another user", func(t *testing.T) {
			t.Skip("only root can be two users: whether the other one was served was not seen")
		})
	}
}

func testMove(t *testing.T, m move) {
	if raceDaemon() {
		m.peak *= raceMemory
	}
	_, d := newLab(t)
	// As in real life: a line for each request is for those who look for one.
	d.Verbose = false
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	a := newAttack(t, d)
	w := newWitness(t, d.Socket)
	// Once round, so that what is made at first use is there.
	a.serve(t)
	before := lookAt(t, d.PID())

	watched := w.watch()
	m.play(t, a)
	a.leave()
	seen := watched()

	if !d.Running() {
		t.Fatal("the daemon has ended")
	}
	a.serve(t)
	w.serve(t)
	peak := lookAt(t, d.PID())
	t.Logf("another user was %v; the daemon took %v, and at most %d MiB", seen, before, peak.peak)
	if peak.peak > m.peak {
		t.Errorf("the daemon took %d MiB, want at most %d", peak.peak, m.peak)
	}
	checkAfter(t, d.PID(), before)
}

// checkAfter checks that the daemon comes back to what it was, more or less: what
// it has open, and the memory.
func checkAfter(t *testing.T, pid int, before figures) {
	t.Helper()
	most := base
	if raceDaemon() {
		most = 1 << 30 // what the race detector has taken it does not give back
	}
	start := time.Now()
	for {
		after := lookAt(t, pid)
		if after.files <= before.files+2 && after.memory <= most {
			t.Logf("afterwards it takes %v (%v later)", after, time.Since(start).Round(time.Millisecond))
			return
		}
		if time.Since(start) > patience {
			t.Errorf("afterwards the daemon has %v, want at most %d MiB, and %d files, before there were %d",
				after, most, after.files, before.files)
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// raceDaemon tells whether the daemon has the race detector in it.
func raceDaemon() bool { return os.Getenv("LAB_RACE") == "1" }

// raceMemory is how many times the memory a program with the race detector
// takes. Its documentation says 5 to 10; with what is mostly large blocks of
// bytes it is 2 to 3.
const raceMemory = 4

// An attack is one user's, on one daemon.
type attack struct {
	t      *testing.T
	uid    int
	daemon *lab.Daemon

	mu    sync.Mutex
	conns []wire
}

func newAttack(t *testing.T, d *lab.Daemon) *attack {
	a := &attack{t: t, uid: os.Getuid(), daemon: d}
	if a.uid == 0 {
		a.uid = attackerUID
	}
	c := a.dial()
	mustCall(t, c, opInitialize, a.name(""), principal("alice"))
	// A TGT: quotas do not take it.
	tgt := bytes.Replace(credential("kept"), principal("host", "kept"), principal("krbtgt", "KCMD.TEST"), 1)
	mustCall(t, c, opStore, a.name(""), tgt)
	a.leave()
	t.Cleanup(a.leave)
	return a
}

// name is one of the attacker's own cache names, as an argument.
func (a *attack) name(suffix string) []byte {
	return name(a.cache(suffix))
}

func (a *attack) cache(suffix string) string {
	s := strconv.Itoa(a.uid)
	if suffix != "" {
		s += ":" + suffix
	}
	return s
}

// dial connects as the attacker. leave closes the connection.
func (a *attack) dial() wire {
	a.t.Helper()
	c, err := a.tryDial()
	if err != nil {
		a.t.Fatal(err)
	}
	return c
}

func (a *attack) tryDial() (wire, error) {
	c, err := dialAs(a.uid, a.daemon.Socket)
	if err == nil {
		a.mu.Lock()
		a.conns = append(a.conns, c)
		a.mu.Unlock()
	}
	return c, err
}

// send connects as the attacker and sends that.
func (a *attack) send(b []byte) wire {
	a.t.Helper()
	c := a.dial()
	if _, err := c.Write(b); err != nil {
		a.t.Fatal(err)
	}
	return c
}

// leave closes all connections.
func (a *attack) leave() {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.conns {
		c.Close()
	}
	a.conns = nil
}

// serve checks that the attacker's own cache is as it was.
func (a *attack) serve(t *testing.T) {
	t.Helper()
	c := a.dial()
	defer c.Close()
	creds, err := credentials(mustCall(t, c, opGetCredList, a.name("")))
	if err != nil || len(creds) != 1 {
		t.Errorf("the attacker's cache has %d credentials, want 1 (%v)", len(creds), err)
	}
}

// closed checks that the daemon closes the connection without a word.
func closed(t *testing.T, c wire) {
	t.Helper()
	b, err := io.ReadAll(c)
	if isTimeout(err) {
		t.Error("the connection goes on")
	}
	if len(b) > 0 {
		t.Errorf("an answer: %x", b)
	}
}

// answered checks that the connection's next answer is this code.
func answered(t *testing.T, c wire, want int32) {
	t.Helper()
	if got, _, err := c.reply(); err != nil || got != want {
		t.Errorf("the answer is %d, %v; want %d", got, err, want)
	}
}

// A witness is another user, who wants to know whether he is still served.
type witness struct {
	t       *testing.T
	uid     int
	socket  string
	longAgo wire // a connection that he has had all the time
}

func newWitness(t *testing.T, socket string) *witness {
	w := &witness{t: t, uid: witnessUID, socket: socket}
	if os.Getuid() != 0 {
		return w
	}
	c, err := dialAs(w.uid, socket)
	if err != nil {
		t.Fatal(err)
	}
	w.longAgo = c
	t.Cleanup(func() { c.Close() })
	mustCall(t, c, opInitialize, name(strconv.Itoa(w.uid)), principal("witness"))
	mustCall(t, c, opStore, name(strconv.Itoa(w.uid)), credential("witnessed"))
	return w
}

// testimony is how long the witness had to wait.
type testimony struct {
	times  int
	most   time.Duration
	median time.Duration
	err    error
}

func (s testimony) String() string {
	if s.times == 0 {
		return "not asked"
	}
	return fmt.Sprintf("served %d times in %v (median), at most %v", s.times, s.median, s.most)
}

// atMost is how long another user may have to wait. Milliseconds are usual. Under
// the race detector, on a machine whose processors are busy with other programs,
// it is seconds.
const atMost = patience / 2

// watch asks again and again, over a new connection each time, until the
// function that it returns is called.
func (w *witness) watch() (stop func() testimony) {
	if w.longAgo.Conn == nil {
		return func() testimony { return testimony{} }
	}
	end := make(chan struct{})
	result := make(chan testimony)
	go func() {
		var took []time.Duration
		var err error
		for err == nil {
			var d time.Duration
			d, err = w.ask()
			took = append(took, d)
			select {
			case <-end:
				result <- evaluate(took, err)
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		<-end
		result <- evaluate(took, err)
	}()
	return func() testimony {
		w.t.Helper()
		close(end)
		s := <-result
		if s.err != nil {
			w.t.Errorf("another user is not served: %v", s.err)
		}
		if s.most > atMost {
			w.t.Errorf("another user had to wait %v, want at most %v", s.most, atMost)
		}
		return s
	}
}

// serve checks that the witness is served, also over the connection that he has
// had all the time.
func (w *witness) serve(t *testing.T) {
	t.Helper()
	if w.longAgo.Conn == nil {
		return
	}
	if _, err := w.ask(); err != nil {
		t.Errorf("another user is not served afterwards: %v", err)
	}
	if err := w.longAgo.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	if err := w.check(w.longAgo); err != nil {
		t.Errorf("another user is not served over the connection that he has had before: %v", err)
	}
}

// ask is served once, and returns how long that took.
func (w *witness) ask() (time.Duration, error) {
	start := time.Now()
	c, err := dialAs(w.uid, w.socket)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	err = w.check(c)
	return time.Since(start), err
}

func (w *witness) check(c wire) error {
	code, reply, err := c.call(opGetCredList, name(strconv.Itoa(w.uid)))
	if err != nil {
		return err
	}
	creds, err := credentials(reply)
	if code != 0 || err != nil || len(creds) != 1 {
		return errors.Join(fmt.Errorf("code %d, %d credentials", code, len(creds)), err)
	}
	return nil
}
