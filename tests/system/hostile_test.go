package system

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
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

// A prepared move needs a daemon that is started in another way.
type prepared struct {
	move
	args    []string
	through []string // see lab.Daemon
	verbose bool
	guests  bool // a second socket, for containers
}

// base is the memory of the daemon itself: some 20 MiB at its start, and garbage,
// of which a busy machine collects less.
const base = 96

// ceiling is what no move may make the daemon take, in MiB, with the usual limits.
// Of it, 64 MiB are what the user may store, and 24 what it may have in requests,
// replies and lists.
const ceiling = 256

var moves = [][]move{frameMoves, argumentMoves, ticketMoves, floodMoves, harmMoves, crowdMoves}

// Whatever one user does, it costs the daemon no more than so much memory, few
// lines in the log, and nothing for good; and another user is served, meanwhile
// and afterwards.
func TestHostile(t *testing.T) {
	for _, group := range moves {
		for _, m := range group {
			t.Run(m.name, func(t *testing.T) { testMove(t, prepared{move: m}) })
		}
	}
	for _, m := range preparedMoves {
		t.Run(m.name, func(t *testing.T) { testMove(t, m) })
	}
	if os.Getuid() != 0 {
		t.Run("another user", func(t *testing.T) {
			t.Skip("only root can be two users: whether the other one was served was not seen")
		})
	}
}

func testMove(t *testing.T, m prepared) {
	if raceDaemon() {
		m.peak *= raceMemory
	}
	l, d := newLab(t)
	// As in real life: a line for each request is for those who look for one.
	d.Verbose, d.Through = m.verbose, m.through
	if m.guests {
		d.Unaddressed = true
		m.args = append(m.args, "--config", writeSockets(t, l, d))
	}
	if err := d.Start(m.args...); err != nil {
		t.Fatal(err)
	}
	a := newAttack(t, d)
	w := newWitness(t, d.Socket)
	// Once round, so that what is made at first use is there.
	a.serve(t)
	before, logged := lookAt(t, d.PID()), len(d.Log())

	watched := w.watch()
	m.play(t, a)
	a.leave()
	a.destroyAll(t)
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
	if !m.verbose {
		checkLog(t, d.Log()[logged:], 0)
	}
}

// guests is the socket and the namespace of containers.
const guests = "guests"

// writeSockets writes a configuration with the usual socket and that of guests.
func writeSockets(t *testing.T, l *lab.Lab, d *lab.Daemon) string {
	t.Helper()
	file := l.Path("kcmd.toml")
	config := fmt.Sprintf("[[socket]]\npath = %q\n[[socket]]\npath = %q\nnamespace = %q\n", d.Socket, d.SocketPath(guests), guests)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// checkLog checks that there are few lines for so many seconds: for each user at most
// 20 at once and one a second, for all users ten times as many.
func checkLog(t *testing.T, log string, seconds int) {
	t.Helper()
	const mostLength = 1 << 10
	mostLines := 10 * (20 + 10 + seconds)
	if n := strings.Count(log, "\n"); n > mostLines {
		t.Errorf("the daemon has logged %d lines, want at most %d", n, mostLines)
	}
	for line := range strings.Lines(log) {
		if len(line) > mostLength {
			t.Errorf("the daemon has logged a line of %d bytes, want at most %d: %.200s...", len(line), mostLength, line)
			return
		}
	}
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

// scaled is n, or less for a daemon with the race detector, which takes ten times
// as long.
func scaled(n int) int {
	if raceDaemon() {
		return n / 8
	}
	return n
}

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
	// Quotas do not take a TGT.
	mustCall(t, c, opReplace, a.name(""), be32(0), principal("alice"), be32(1), data(string(tgt())))
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

// destroyAll destroys the attacker's caches but the one that serve checks.
func (a *attack) destroyAll(t *testing.T) {
	t.Helper()
	c := a.dial()
	defer c.Close()
	ids := mustCall(t, c, opGetCacheUUIDs)
	for id := range slices.Chunk(ids, 16) {
		code, cache, err := c.call(opGetCacheByUUID, id)
		if code == 0 && err == nil && !bytes.Equal(cache, a.name("")) {
			code, _, err = c.call(opDestroy, cache)
		}
		if err != nil || code != 0 && code != codeEnd && code != codeNoFile { // it may be reaped meanwhile
			t.Fatalf("code %d, %v", code, err)
		}
	}
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
	stored  int  // tickets
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
	mustCall(t, c, opReplace, name(strconv.Itoa(w.uid)), be32(0), principal("witness"), be32(1), data(string(tgt())))
	return w
}

// Steps of a witness, each of which is timed.
const (
	stepConnect = iota
	stepStore
	stepRetrieve
	stepNames
)

// testimony is how long the witness had to wait for each step.
type testimony struct {
	took [stepNames][]time.Duration
	err  error
}

func (s *testimony) String() string {
	n := len(s.took[stepRetrieve])
	if n == 0 {
		return "not served"
	}
	text := fmt.Sprintf("served %d times (median/most):", n)
	for step, verb := range []string{"connect", "STORE", "RETRIEVE"} {
		took := slices.Sorted(slices.Values(s.took[step]))
		text += fmt.Sprintf(" %s %.1f/%.1f ms", verb, ms(took[len(took)/2]), ms(took[len(took)-1]))
	}
	return text
}

func ms(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// most returns the longest wait.
func (s *testimony) most() (d time.Duration) {
	for _, took := range s.took {
		for _, t := range took {
			d = max(d, t)
		}
	}
	return d
}

// atMost is how long another user may have to wait for one step. Milliseconds are
// usual. It is more on a machine whose processors are busy with other programs, and
// under the race detector.
func atMost() time.Duration {
	var load float64 // of the last minute
	if b, err := os.ReadFile("/proc/loadavg"); err == nil {
		fmt.Sscan(string(b), &load) // or 0
	}
	most := time.Duration(float64(time.Second) * max(1, load/float64(runtime.NumCPU())))
	if raceDaemon() {
		most = max(most, 10*time.Second)
	}
	return min(most, 20*time.Second)
}

// watch asks again and again, over a new connection each time, until the
// function that it returns is called.
func (w *witness) watch() (stop func() *testimony) {
	s := new(testimony)
	if w.longAgo.Conn == nil {
		return func() *testimony { return s }
	}
	end, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for s.err == nil {
			s.err = w.ask(s)
			select {
			case <-end:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
		<-end
	}()
	return func() *testimony {
		w.t.Helper()
		close(end)
		<-done
		if s.err != nil {
			w.t.Errorf("another user is not served: %v", s.err)
		}
		if d, most := s.most(), atMost(); d > most {
			w.t.Errorf("another user had to wait %v, want at most %v", d, most)
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
	var s testimony
	if err := w.ask(&s); err != nil {
		t.Errorf("another user is not served afterwards: %v", err)
	}
	if err := w.check(w.longAgo, &s); err != nil {
		t.Errorf("another user is not served over the connection that he has had before: %v", err)
	}
}

// ask is served once over a new connection.
func (w *witness) ask(s *testimony) error {
	start := time.Now()
	c, err := dialAs(w.uid, w.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	s.took[stepConnect] = append(s.took[stepConnect], time.Since(start))
	return w.check(c, s)
}

// check stores a ticket in place of the one before, and retrieves it.
func (w *witness) check(c wire, s *testimony) error {
	w.stored++
	ticket := parts{server: principal("host", "witnessed"), ticket: fmt.Sprint("number ", w.stored), end: began + 3600}.credential()
	for _, step := range []struct {
		step int
		op   uint16
		args []byte
		want []byte
	}{
		{stepStore, opStore, ticket, nil},
		{stepRetrieve, opRetrieve, slices.Concat(be32(0), matchServer("witnessed")), ticket},
	} {
		start := time.Now()
		code, reply, err := c.call(step.op, name(strconv.Itoa(w.uid)), step.args)
		if err != nil {
			return err
		}
		if code != 0 || !bytes.Equal(reply, step.want) {
			return fmt.Errorf("operation %d: code %d, and %d bytes that are wrong", step.op, code, len(reply))
		}
		s.took[step.step] = append(s.took[step.step], time.Since(start))
	}
	return nil
}
