package main

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A driver is one client: a process that makes libkrb5's calls. It numbers its
// places as the peers are numbered.
type driver struct {
	cmd    *exec.Cmd
	in     io.Writer
	out    io.ReadCloser
	buf    *bufio.Reader
	placed map[*peer]bool
}

// answerPatience is how long a driver may take for one answer. A server that needs
// longer hangs.
const answerPatience = 5 * time.Minute

// keytabOf is the path of alice's keytab.
func keytabOf(l *lab.Lab) string { return l.Path("alice.keytab") }

// startDriver starts client number n as a user.
func startDriver(uid int, l *lab.Lab, program string, n int) *driver {
	d := &driver{cmd: exec.Command(program, strconv.Itoa(n)), placed: make(map[*peer]bool)}
	d.cmd.Stderr = os.Stderr
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + l.Dir,
		"KRB5_KTNAME=" + keytabOf(l)}
	if uid != os.Getuid() {
		lab.As(d.cmd, uint32(uid))
	}
	d.in, d.out = got(d.cmd.StdinPipe()), got(d.cmd.StdoutPipe())
	d.buf = bufio.NewReader(d.out)
	must(lab.Start(d.cmd))
	l.OnClose(func() {
		// An error means that it has ended.
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	return d
}

// send sends a command for a peer to the client.
func (d *driver) send(command string, p *peer, args ...any) error {
	line := fmt.Sprintf("%s\t%d", command, p.place)
	for _, a := range args {
		line += fmt.Sprintf("\t%v", a)
	}
	_, err := fmt.Fprintln(d.in, line)
	return err
}

// receive waits for the answer to a command.
func (d *driver) receive() (numbers []time.Duration, err error) {
	hang := time.AfterFunc(answerPatience, func() { d.out.Close() })
	line, err := d.buf.ReadString('\n')
	if !hang.Stop() {
		return nil, fmt.Errorf("no answer within %v", answerPatience)
	}
	if err != nil {
		return nil, fmt.Errorf("the client ended: %w", err)
	}
	words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	last := len(words) - 1
	if words[last] != "ok" {
		return nil, errors.New(words[0])
	}
	for _, w := range words[:last] {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the client answered %q: %w", w, err)
		}
		numbers = append(numbers, time.Duration(n))
	}
	return numbers, nil
}

// do sends a command and waits for its answer.
func (d *driver) do(command string, p *peer, args ...any) []time.Duration {
	must(d.send(command, p, args...))
	numbers, err := d.receive()
	if err != nil {
		must(fmt.Errorf("%s: %w", command, err))
	}
	return numbers
}

// place gives the client a peer's cache.
func (d *driver) place(p *peer) {
	if !d.placed[p] {
		removes := 0
		if p.has(tidy) {
			removes = 1
		}
		d.do("place", p, p.krb5conf, p.collection, p.cache, removes)
		d.placed[p] = true
	}
}

// fill makes the cache of a peer.
func (d *driver) fill(p *peer, tickets int, budget time.Duration) {
	if stored := int(d.do("fill", p, tickets, budget.Milliseconds())[0]); stored < tickets {
		must(fmt.Errorf("%w: %d of %d tickets stored in %.1f s", errSlow, stored, tickets, budget.Seconds()))
	}
}

// A turn is what clients do at once: a step in a cache with so many tickets, so often, for
// so long at most, on one processor or on any.
type turn struct {
	step           string
	tickets, count int
	moment         time.Duration
	processor      int
}

// once does a step once.
func once(step string, tickets int) turn { return turn{step, tickets, 1, answerPatience, anyProcessor} }

// together has all clients take a turn, and returns all measurements.
func together(clients []*driver, p *peer, t turn) (took series, err error) {
	for _, d := range clients {
		must(bind(d.cmd.Process.Pid, t.processor))
		must(d.send("step", p, t.step, t.tickets, t.count, t.moment.Milliseconds()))
	}
	for _, d := range clients {
		got, failed := d.receive()
		took = append(took, got...)
		err = cmp.Or(err, failed) // they fail alike
	}
	return took, err
}

// clients returns so many clients.
func (b *bench) clients(n int) []*driver {
	for len(b.drivers) < n {
		b.drivers = append(b.drivers, startDriver(os.Getuid(), b.lab, b.driver, len(b.drivers)))
	}
	return b.drivers[:n]
}
