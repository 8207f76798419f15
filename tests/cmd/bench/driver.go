package main

import (
	"bufio"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

//go:embed driver
var driverSource embed.FS

// A driver is one client: a process that makes libkrb5's calls. It numbers its
// places as the peers are numbered.
type driver struct {
	number int
	cmd    *exec.Cmd
	in     *os.File
	out    *os.File
	buf    *bufio.Reader
	placed map[*peer]bool
}

// answerPatience is how long a driver may take for one answer. A server that needs
// longer hangs.
const answerPatience = 5 * time.Minute

// startDriver starts client number n.
func startDriver(l *lab.Lab, program string, n int, env ...string) (*driver, error) {
	theirIn, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer theirIn.Close()
	out, theirOut, err := os.Pipe()
	if err != nil {
		in.Close()
		return nil, err
	}
	defer theirOut.Close()
	d := &driver{
		number: n, cmd: exec.Command(program), in: in, out: out, buf: bufio.NewReader(out),
		placed: make(map[*peer]bool),
	}
	d.cmd.Stdin, d.cmd.Stdout, d.cmd.Stderr = theirIn, theirOut, os.Stderr
	d.cmd.Env = append([]string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + l.Dir}, env...)
	if err := lab.Start(d.cmd); err != nil {
		d.close()
		return nil, fmt.Errorf("cannot start a client: %w", err)
	}
	l.OnClose(d.end)
	return d, d.do("client", strconv.Itoa(n), "1200")
}

func (d *driver) close() {
	d.in.Close()
	d.out.Close()
}

// end kills the client.
func (d *driver) end() {
	if d.cmd.ProcessState != nil {
		return
	}
	// An error means that it has ended.
	_ = d.cmd.Process.Kill()
	_ = d.cmd.Wait()
	d.close()
}

// send sends a command to the client.
func (d *driver) send(words ...string) error {
	_, err := fmt.Fprintln(d.in, strings.Join(words, "\t"))
	return err
}

// receive waits for the answer to a command, and returns the words after "ok", or
// with errSlow those after "slow".
func (d *driver) receive() ([]string, error) {
	if err := d.out.SetReadDeadline(time.Now().Add(answerPatience)); err != nil {
		return nil, err
	}
	line, err := d.buf.ReadString('\n')
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return nil, fmt.Errorf("no answer within %v", answerPatience)
	}
	if err != nil {
		return nil, fmt.Errorf("the client ended: %w", err)
	}
	words := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
	switch words[0] {
	case "ok":
		return words[1:], nil
	case "slow":
		return words[1:], errSlow
	}
	return nil, errors.New(strings.Join(words[1:], " "))
}

// do sends a command and waits for its answer.
func (d *driver) do(words ...string) error {
	if err := d.send(words...); err != nil {
		return err
	}
	_, err := d.receive()
	return err
}

// receiveSeries waits for the answer to "step" or "gss".
func (d *driver) receiveSeries() (series, error) {
	words, err := d.receive()
	if err != nil {
		return nil, err
	}
	took := make(series, len(words))
	for i, w := range words {
		n, err := strconv.ParseInt(w, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("the client answered %q: %w", w, err)
		}
		took[i] = time.Duration(n)
	}
	return took, nil
}

// place gives the client a peer's cache.
func (d *driver) place(p *peer) error {
	if d.placed[p] {
		return nil
	}
	tidy := "0"
	if p.tidy {
		tidy = "1"
	}
	if err := d.do("place", strconv.Itoa(p.place), p.krb5conf, p.collection, p.cache, tidy); err != nil {
		return err
	}
	d.placed[p] = true
	return nil
}

// fill makes the cache of a peer, unless another client has made it.
func (d *driver) fill(p *peer, tickets int, another bool, budget time.Duration) error {
	how := "one"
	switch {
	case another && !p.private:
		how = "there"
	case p.together:
		how = "together"
	}
	start := time.Now()
	if err := d.send("fill", strconv.Itoa(p.place), strconv.Itoa(tickets), how, strconv.FormatInt(budget.Milliseconds(), 10)); err != nil {
		return err
	}
	stored, err := d.receive()
	if errors.Is(err, errSlow) {
		return fmt.Errorf("%w: %s of %d tickets stored in %.1f s", errSlow, stored[0], tickets, time.Since(start).Seconds())
	}
	return err
}

// step begins a step, on one processor or on any. receiveSeries waits for its end.
func (d *driver) step(p *peer, name string, count int, moment time.Duration, processor int) error {
	return d.send("step", strconv.Itoa(p.place), name, strconv.Itoa(count),
		strconv.FormatInt(moment.Milliseconds(), 10), strconv.Itoa(processor))
}
