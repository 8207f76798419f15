package main

import (
	"bytes"
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A command is a program that a user runs, or a call of GSSAPI.
type command struct {
	name       string
	before     func(*realm, *peer) error // before each turn, not measured
	run        func(*realm, *peer) (series, error)
	collection bool // needs several caches
}

// A realm has a KDC, and services for the commands.
type realm struct {
	*bench
	*lab.Realm
	services []string
	programs map[*peer]*driver // that use GSSAPI
}

// contexts is the number of GSSAPI contexts in a turn.
const contexts = 20

// theCommands run in this order: each finds the tickets of those before it.
var theCommands = []command{
	{name: "kinit", run: func(t *realm, p *peer) (series, error) { return t.run(p, t.kinit()...) }},
	{name: "klist", run: func(t *realm, p *peer) (series, error) { return t.run(p, "klist") }},
	{
		name:   "kvno cold", // from the KDC
		before: func(t *realm, p *peer) error { _, err := t.run(p, t.kinit()...); return err },
		run:    (*realm).kvno,
	},
	{name: "kvno warm", run: (*realm).kvno}, // from the cache
	{name: "gss", run: (*realm).gss},
	{name: "klist -A", run: func(t *realm, p *peer) (series, error) { return t.run(p, "klist", "-A") }, collection: true},
}

// commands measures whole programs, from their start to their end.
func (b *bench) commands() error {
	if err := lab.Missing(lab.KerberosPrograms...); err != nil {
		return err
	}
	t := &realm{bench: b, programs: make(map[*peer]*driver)}
	if err := t.build(); err != nil {
		return err
	}
	for _, p := range b.peers {
		if p.failure == nil && usable(p) {
			p.failure = t.enter(p)
		}
	}
	for _, c := range theCommands {
		b.progress("commands: " + c.name)
		b.rounds(b.options.runs, t.begin(c), func(p *peer, r *result) error {
			if c.before != nil {
				if err := c.before(t, p); err != nil {
					return err
				}
			}
			took, err := c.run(t, p)
			r.add(took)
			return err
		})
	}
	for p, d := range t.programs {
		d.end()
		if _, err := t.run(p, "kdestroy", "-A"); err != nil && p.failure == nil {
			p.failure = err
		}
	}
	return nil
}

// usable reports whether programs can use a peer.
func usable(p *peer) bool { return !p.isEcho() && !p.private }

// build makes the realm.
func (t *realm) build() (err error) {
	t.progress("making a realm")
	if t.Realm, err = t.lab.NewRealm(); err != nil {
		return err
	}
	for i := range t.options.services {
		t.services = append(t.services, fmt.Sprintf("host/s%03d.kcmd.test", i))
	}
	return t.AddService(t.services...)
}

// enter adds the KDC to the configuration of a peer.
func (t *realm) enter(p *peer) error {
	if err := t.WriteConfig(p.krb5conf, t.KDC.Port, cmp.Or(p.socket, "-")); err != nil {
		return err
	}
	d, err := startDriver(t.lab, t.driver, 0, t.env(p)...)
	if err != nil {
		return err
	}
	t.programs[p] = d
	return d.do("place", "0", p.krb5conf, p.collection, p.cache, "0")
}

func (t *realm) env(p *peer) []string {
	return []string{
		"PATH=" + os.Getenv("PATH"), "LC_ALL=C.UTF-8", "TZ=UTC", "HOME=" + t.lab.Dir,
		"KRB5_CONFIG=" + p.krb5conf, "KRB5CCNAME=" + p.collection,
	}
}

// begin begins the results of a command.
func (t *realm) begin(c command) []*result {
	var list []*result
	for _, p := range t.peers {
		r := t.results.begin(key{circumstances{Commands: true, Tickets: len(t.services), Clients: 1}, c.name, p.name})
		switch {
		case p.failure != nil:
			r.Failure = failed(p.failure)
		case !usable(p):
			r.Failure = failed(fmt.Errorf("%w: each process has its own", errNot))
		case c.collection && !p.collects:
			r.Failure = failed(fmt.Errorf("%w: this type has one cache", errNot))
		case c.collection:
			r.Failure = failed(t.programs[p].do("caches", "0", strconv.Itoa(t.options.caches-1)))
		}
		list = append(list, r)
	}
	return list
}

// kinit is a command with a keytab: the key of a password takes long to compute.
func (t *realm) kinit() []string { return []string{"kinit", "-k", "-t", t.Keytab, lab.Service} }

func (t *realm) kvno(p *peer) (series, error) {
	return t.run(p, append([]string{"kvno"}, t.services...)...)
}

// run returns how long a command takes.
func (t *realm) run(p *peer, words ...string) (series, error) {
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = t.env(p)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	start := time.Now()
	if err := lab.Run(cmd); err != nil {
		return nil, fmt.Errorf("%s: %w: %s", words[0], err, bytes.TrimSpace(out.Bytes()))
	}
	return series{time.Since(start)}, nil
}

// gss makes contexts for a service with a ticket in the cache.
func (t *realm) gss(p *peer) (series, error) {
	if err := t.programs[p].send("gss", "host@s000.kcmd.test", strconv.Itoa(contexts)); err != nil {
		return nil, err
	}
	return t.programs[p].receiveSeries()
}
