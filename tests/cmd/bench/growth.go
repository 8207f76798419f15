package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"strconv"

	"kcmd.org/kcmd/kcmserver/kcm"
	"kcmd.org/kcmd/tests/lab"
)

// A growthResult is what more of something costs kcmd's memory.
type growthResult struct {
	Peer          string
	What          string
	Number        int
	Before, After int64 // bytes
	Failure       error
}

// A growth is something of which there can be much.
type growth struct {
	what   string
	number int
	bus    bool // the daemon is on one
	root   bool // only root can do it
	more   func(d *lab.Daemon, n int) error
}

var growths = []growth{
	{what: "tickets in one cache", number: 10_000, more: func(d *lab.Daemon, n int) error {
		c, err := kcm.Dial(context.Background(), d.Socket)
		if err != nil {
			return err
		}
		defer c.Close()
		return fillByFrames(c, &peer{traits: traits{together: true}}, kcmCache, n, usualSize, answerPatience)
	}},
	{what: "caches of one user, a ticket each", number: 1000, more: func(d *lab.Daemon, n int) error {
		for i := range n {
			if err := call(os.Getuid(), d, kcm.OpReplace, replaceArgs(kcmCache+strconv.Itoa(i), 1, usualSize)); err != nil {
				return err
			}
		}
		return nil
	}},
	{what: "active users, 10 tickets each", number: 1000, root: true, more: func(d *lab.Daemon, n int) error {
		for i := range n {
			uid := firstUID + i
			if err := call(uid, d, kcm.OpReplace, replaceArgs(strconv.Itoa(uid), ticketsEach, usualSize)); err != nil {
				return err
			}
		}
		return nil
	}},
	{what: "idle connections", number: 1000, more: func(d *lab.Daemon, n int) error {
		for range n {
			// They end with the program.
			c, err := kcm.Dial(context.Background(), d.Socket)
			if err != nil {
				return err
			}
			if _, err := c.Call(kcm.OpGetDefaultCache, nil); err != nil {
				return err
			}
		}
		return nil
	}},
	{what: "active users, 10 tickets each, on a bus", number: 1000, bus: true, root: true, more: func(d *lab.Daemon, n int) error {
		for i := range n {
			uid := firstUID + i
			if err := call(uid, d, kcm.OpReplace, replaceArgs(strconv.Itoa(uid), ticketsEach, usualSize)); err != nil {
				return err
			}
		}
		return nil
	}},
	{what: "subscribers on a bus", number: 50, bus: true, root: true, more: func(d *lab.Daemon, n int) error {
		for i := range n {
			if _, err := d.Bus.NewMonitor(strconv.Itoa(i), uint32(os.Getuid())); err != nil {
				return err
			}
		}
		return nil
	}},
}

// call sends one request as a user.
func call(uid int, d *lab.Daemon, op kcm.Opcode, args []byte) error {
	conn, err := lab.DialAs(uid, d.Socket, answerPatience)
	if err != nil {
		return err
	}
	c := kcm.NewClient(conn)
	defer c.Close()
	_, err = c.Call(op, args)
	return err
}

// grow measures what grows with what.
func (b *bench) grow() error {
	for _, name := range b.peerNames() {
		if findKind(name).name != "kcmd-full" {
			continue
		}
		for _, g := range growths {
			if g.root && os.Getuid() != 0 || g.bus && lab.Missing(lab.BusPrograms...) != nil {
				continue
			}
			b.progress("growth: " + g.what)
			r := growthResult{Peer: name, What: g.what, Number: g.number}
			r.Failure = b.measureGrowth(&r, g)
			b.growthResults = append(b.growthResults, r)
		}
	}
	return nil
}

func (b *bench) measureGrowth(r *growthResult, g growth) error {
	l, err := lab.New()
	if err != nil {
		return err
	}
	defer l.Close()
	d := l.NewDaemon(b.program(r.Peer))
	if g.bus {
		if d.Bus, err = systemBus(l, b.options.root); err != nil {
			return err
		}
	}
	if err := d.Start(append([]string{"--max-uid-caches=0"}, noLimits...)...); err != nil {
		return err
	}
	if err := call(os.Getuid(), d, kcm.OpGetDefaultCache, nil); err != nil {
		return err
	}
	before, err := memoryOf(d.PID())
	if err != nil {
		return err
	}
	if err := g.more(d, g.number); err != nil {
		return err
	}
	after, err := memoryOf(d.PID())
	r.Before, r.After = before.now, after.now
	return err
}

func (b *bench) reportGrowth(w io.Writer) {
	if len(b.growthResults) == 0 {
		return
	}
	fmt.Fprintf(w, "\nWhat grows with what (resident, with what Go's garbage collector has not given back)\n")
	t := table{{"", "server", "number", "before", "after", "for each"}}
	for _, r := range b.growthResults {
		if r.Failure != nil {
			t = append(t, []string{r.What, r.Peer, "fails: " + r.Failure.Error()})
			continue
		}
		each := max(r.After-r.Before, 0) / int64(r.Number)
		t = append(t, []string{r.What, r.Peer, thousands(r.Number), bytesText(r.Before), bytesText(r.After), bytesText(each)})
	}
	t.print(w)
}
