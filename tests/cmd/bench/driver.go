package main

import (
	"bufio"
	"embed"
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

//go:embed driver
var driverSource embed.FS

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

// startDriver starts client number n.
func startDriver(l *lab.Lab, program string, n int) (*driver, error) {
	return startDriverAs(os.Getuid(), l, program, n)
}

// startDriverAs starts client number n as a user.
func startDriverAs(uid int, l *lab.Lab, program string, n int) (*driver, error) {
	d := &driver{cmd: exec.Command(program, strconv.Itoa(n)), placed: make(map[*peer]bool)}
	d.cmd.Stderr = os.Stderr
	d.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + l.Dir,
		"KRB5_KTNAME=" + keytabOf(l)}
	if uid != os.Getuid() {
		lab.As(d.cmd, uint32(uid))
	}
	var err, err2 error
	d.in, err = d.cmd.StdinPipe()
	d.out, err2 = d.cmd.StdoutPipe()
	d.buf = bufio.NewReader(d.out)
	if err := errors.Join(err, err2); err != nil {
		return nil, err
	}
	if err := lab.Start(d.cmd); err != nil {
		return nil, fmt.Errorf("cannot start a client: %w", err)
	}
	l.OnClose(func() {
		// An error means that it has ended.
		_ = d.cmd.Process.Kill()
		_ = d.cmd.Wait()
	})
	return d, nil
}

// send sends a command to the client.
func (d *driver) send(words ...string) error {
	_, err := fmt.Fprintln(d.in, strings.Join(words, "\t"))
	return err
}

// receive waits for the answer to a command, and returns the words after "ok", or
// with errSlow those after "slow".
func (d *driver) receive() ([]string, error) {
	hang := time.AfterFunc(answerPatience, func() { d.out.Close() })
	line, err := d.buf.ReadString('\n')
	if !hang.Stop() {
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

// receiveSeries waits for the answer to "step".
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
	tidy := map[bool]string{true: "1", false: "0"}[p.tidy]
	if err := d.do("place", strconv.Itoa(p.place), p.krb5conf, p.collection, p.cache, tidy); err != nil {
		return err
	}
	d.placed[p] = true
	return nil
}

// fill makes the cache of a peer, unless it is there.
func (d *driver) fill(p *peer, tickets int, there bool, budget time.Duration) error {
	how := map[bool]string{true: "there", false: "make"}[there]
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
