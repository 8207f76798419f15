package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// byCommands: whole programs are measured, from their start to their end.
const byCommands = "commands"

// A command is what a user would type, or what a program does that uses GSSAPI.
type command struct {
	name  string
	about string
	// before is done before each turn, not measured.
	before func(*theatre, *peer) error
	run    func(*theatre, *peer) (series, error)
	// collection: it needs several caches.
	collection bool
}

// A theatre is where commands are run: a realm with its KDC, and services.
type theatre struct {
	*bench
	services []string
	caches   int
	programs map[*peer]*driver // that use GSSAPI
}

// contexts is how many GSSAPI contexts are made in a turn.
const contexts = 20

// theCommands are done one after the other, so that each finds what those before
// it have made.
var theCommands = []command{
	{
		name: "kinit", about: "kinit with a keytab",
		run: func(t *theatre, p *peer) (series, error) { return t.run(p, t.kinit()...) },
	},
	{
		name: "klist", about: "klist of a TGT",
		run: func(t *theatre, p *peer) (series, error) { return t.run(p, "klist") },
	},
	{
		name: "kvno cold", about: "kvno of services, from the KDC",
		before: func(t *theatre, p *peer) error { _, err := t.run(p, t.kinit()...); return err },
		run:    func(t *theatre, p *peer) (series, error) { return t.run(p, append([]string{"kvno"}, t.services...)...) },
	},
	{
		name: "kvno warm", about: "kvno of services whose tickets are there",
		run: func(t *theatre, p *peer) (series, error) { return t.run(p, append([]string{"kvno"}, t.services...)...) },
	},
	{
		name: "gss", about: "a GSSAPI context with a ticket that is there",
		run: (*theatre).gss,
	},
	{
		name: "klist -A", about: "klist -A of many caches", collection: true,
		run: func(t *theatre, p *peer) (series, error) { return t.run(p, "klist", "-A") },
	},
}

// commands measures whole commands, the peers by turns.
func (b *bench) commands() error {
	if err := lab.Missing(lab.KerberosPrograms...); err != nil {
		return err
	}
	t := &theatre{bench: b, caches: b.options.caches, programs: make(map[*peer]*driver)}
	if err := t.build(); err != nil {
		return err
	}
	for _, p := range b.peers {
		if p.failure == nil && actor(p) {
			if err := t.enter(p); err != nil {
				p.failure = err
			}
		}
	}
	for _, c := range theCommands {
		t.play(c)
	}
	for p, d := range t.programs {
		d.end()
		if _, err := t.run(p, "kdestroy", "-A"); err != nil && p.failure == nil {
			p.failure = err
		}
	}
	return nil
}

// actor tells whether commands can use a peer.
func actor(p *peer) bool { return !p.isEcho() && !p.private }

// build makes the realm.
func (t *theatre) build() error {
	t.progress("making a realm")
	if t.realm == nil {
		var err error
		if t.realm, err = t.lab.NewRealm(); err != nil {
			return err
		}
	}
	for i := range t.options.services {
		t.services = append(t.services, fmt.Sprintf("host/s%03d.kcmd.test", i))
	}
	return t.realm.AddService(t.services...)
}

// enter has the commands find a peer, and makes the other caches of klist -A.
func (t *theatre) enter(p *peer) error {
	socket := p.socket
	if socket == "" {
		socket = "-"
	}
	if err := t.realm.WriteConfig(p.krb5conf, t.realm.KDC.Port, socket); err != nil {
		return err
	}
	d, err := startDriver(t.lab, t.driver, 0, t.env(p)...)
	if err != nil {
		return err
	}
	t.programs[p] = d
	if err := d.do("place", "0", p.krb5conf, p.collection, p.cache, "0"); err != nil {
		return err
	}
	return nil
}

func (t *theatre) env(p *peer) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + t.lab.Dir,
		"KRB5_CONFIG=" + p.krb5conf, "KRB5CCNAME=" + p.collection,
	}
}

// play measures a command.
func (t *theatre) play(c command) {
	t.progress("commands: " + c.name)
	var list []*result
	for _, p := range t.peers {
		r := t.results.add(circumstances{By: byCommands, Tickets: len(t.services), Clients: 1}, c.name, p.name)
		switch {
		case p.failure != nil:
			r.Failure = p.failure
		case !actor(p):
			r.Failure = fmt.Errorf("%w: no other process sees it", errNot)
		case c.collection && !p.collects:
			r.Failure = fmt.Errorf("%w: there is one cache of this type", errNot)
		case c.collection:
			r.Failure = t.programs[p].do("caches", "0", strconv.Itoa(t.caches-1))
		}
		list = append(list, r)
	}
	for range t.options.runs {
		for _, r := range list {
			if r.Failure != nil {
				continue
			}
			p := t.peer(r.Peer)
			if c.before != nil {
				r.Failure = c.before(t, p)
			}
			if r.Failure == nil {
				var took series
				took, r.Failure = c.run(t, p)
				r.turn(took)
			}
		}
	}
}

// kinit needs no password: to make a key of one takes long.
func (t *theatre) kinit() []string { return []string{"kinit", "-k", "-t", t.realm.Keytab, lab.Service} }

// run runs a command and says how long it took.
func (t *theatre) run(p *peer, words ...string) (series, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = t.env(p)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	err := lab.Run(cmd)
	took := time.Since(start)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %s", words[0], err, bytes.TrimSpace(out.Bytes()))
	}
	return series{took}, nil
}

// gss makes contexts for a service whose ticket is there.
func (t *theatre) gss(p *peer) (series, error) {
	if err := t.programs[p].send("gss", "host@s000.kcmd.test", strconv.Itoa(contexts)); err != nil {
		return nil, err
	}
	got, err := t.programs[p].receiveSlice()
	return slices.Clone(got.took), err
}
