package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"kcmd.org/kcmd/tests/lab"
)

// A peer is a credential cache to measure, or the echo.
type peer struct {
	*kind
	name  string
	place int // its number in every driver
	// cache and collection are TYPE:RESIDUAL: the cache to measure, and all caches.
	cache, collection, krb5conf string
	// socket is that of a KCM server or of the echo, "" without a server.
	socket string
	server server // nil without one
	// others is the number of other users with stored tickets.
	others int
	// failure ends the measuring of this peer, unfilled that in some circumstances.
	failure, unfilled error
}

// A server is the process that serves a peer. Ended returns an error once it has ended.
type server interface {
	PID() int
	Ended() error
}

// pid is the process of the server, 0 without one.
func (p *peer) pid() int {
	if p.server == nil {
		return 0
	}
	return p.server.PID()
}

// A kind is a kind of peer. start starts its server, through a tracer if one is given, and
// names its caches.
type kind struct {
	name   string
	about  string // for --help
	traits traits
	start  func(b *bench, l *lab.Lab, p *peer, tracer ...string)
	needs  []string // programs that must be installed for it
}

// Traits are what the bench has to know of a type of cache.
type traits int

const (
	isCanned   traits = 1 << iota // its answers are recorded
	isKCM                         // a KCM server
	writes                        // to a disk, with a server
	collects                      // has several caches and a default one
	tidy                          // removes a removed ticket
	tombstones                    // keeps a removed ticket until the cache is initialized
)

// has reports whether the kind has a trait.
func (k *kind) has(t traits) bool { return k.traits&t != 0 }

// isKcmd reports whether a whole cache can be sent in one request (REPLACE).
func (k *kind) isKcmd() bool { return strings.HasPrefix(k.name, "kcmd-") }

// kinds are in the order of the tables.
var kinds = []kind{
	{"echo", "kcmd's recorded answers, to a client without libkrb5", isCanned | collects | tidy, startCanned, nil},
	{"canned", "kcmd's recorded answers, to libkrb5", isCanned | collects | tidy, startCanned, nil},
	{"kcmd-full", "kcmd with its defaults: an answered change survives a power cut", isKCM | writes | collects | tidy, startKcmd("--synchronous=full"), nil},
	{"kcmd-normal", "kcmd with synchronous = normal", isKCM | writes | collects | tidy, startKcmd("--synchronous=normal"), nil},
	{"kcmd-memory", "kcmd with store = memory:", isKCM | collects | tidy, startKcmd("--store=memory:"), nil},
	{"kcmd-bus", "kcmd-full on a system bus, with a subscriber", isKCM | collects | tidy, startKcmd("--synchronous=full"), lab.BusPrograms},
	{"sssd", "sssd_kcm, alone", isKCM | writes | collects, startSSSD, []string{othersNeeded, "unshare", "setpriv"}},
	{"file", "FILE: of libkrb5", tombstones, startFile, nil},
	{"dir", "DIR: of libkrb5", tombstones | collects, startDir, nil},
	{"keyring", "KEYRING: of libkrb5", collects | tidy, startKeyring, nil},
}

const (
	// othersNeeded stands for the servers that tests/install.sh unpacks.
	othersNeeded = "servers"
	// against is the prefix of the peers that --against adds.
	against = "against-"
)

// kcmCache is the name of the measured cache at every KCM server.
var kcmCache = fmt.Sprintf("%d:bench", os.Getuid())

// newPeer returns a peer with a place of its own.
func (b *bench) newPeer(name string, k *kind) *peer {
	b.places++
	return &peer{kind: k, name: name, place: b.places - 1}
}

// peerNames are in the order of kinds, the peers of --against each after kcmd's.
func (b *bench) peerNames() (all []string) {
	for _, k := range chosen(kinds, b.options.peers, kindName) {
		all = append(all, k.name)
		if b.options.against != "" && k.isKcmd() {
			all = append(all, strings.Replace(k.name, "kcmd-", against, 1))
		}
	}
	return all
}

// kindOf returns the kind of a peer.
func kindOf(name string) *kind {
	name = strings.Replace(name, against, "kcmd-", 1)
	return &kinds[slices.Index(kindNames, name)]
}

// startPeers starts the peers. One that cannot be started keeps the reason, unless
// it is kcmd.
func (b *bench) startPeers() {
	for _, name := range b.peerNames() {
		b.progress("starting " + name)
		l := got(lab.New())
		b.labs = append(b.labs, l)
		p := b.newPeer(name, kindOf(name))
		b.peers = append(b.peers, p)
		p.failure = attempt(func() {
			p.start(b, l, p)
			if p.isKcmd() && b.recorder == nil {
				b.startRecorder(p)
			}
		})
		if p.isKcmd() && p.failure != nil && !errors.Is(p.failure, errNot) {
			must(fmt.Errorf("%s: %w", name, p.failure))
		}
	}
}

// caches names the caches of a peer and writes its krb5.conf.
func (b *bench) caches(p *peer, collection, cache string) {
	p.collection, p.cache = collection, cache
	p.krb5conf = b.lab.Path(fmt.Sprintf("%d.conf", p.place))
	socket := cmp.Or(p.socket, "-")
	if b.realm != nil {
		must(b.realm.WriteConfig(p.krb5conf, b.realm.KDC.Port, socket))
		return
	}
	conf := fmt.Sprintf("[libdefaults]\n\tdefault_realm = %s\n\tkcm_socket = %s\n", lab.RealmName, socket)
	must(os.WriteFile(p.krb5conf, []byte(conf), 0o644))
}

// serverCaches names the caches of a KCM server.
func (b *bench) serverCaches(p *peer, socket string) {
	p.socket = socket
	b.caches(p, "KCM:", "KCM:"+kcmCache)
}

func startCanned(b *bench, l *lab.Lab, p *peer, _ ...string) {
	b.serverCaches(p, l.Path("canned.sock"))
}

// startKcmd starts a daemon, the peer kcmd-bus on a system bus.
func startKcmd(args ...string) func(b *bench, l *lab.Lab, p *peer, tracer ...string) {
	return func(b *bench, l *lab.Lab, p *peer, tracer ...string) {
		d := l.NewDaemon(b.program(p.name))
		d.Through = tracer
		if p.kind.name == "kcmd-bus" {
			d.Bus = systemBus(l, b.options.root)
		}
		must(d.Start(append(args, noLimits...)...))
		if d.Bus != nil {
			got(d.Bus.NewMonitor("bench", uint32(os.Getuid())))
		}
		p.server = d
		b.serverCaches(p, d.Socket)
	}
}

// program is the binary of a peer that is a kcmd.
func (b *bench) program(name string) string {
	if strings.HasPrefix(name, against) {
		return b.options.against
	}
	return b.kcmd
}

// noLimits are arguments without limits that other peers do not have.
var noLimits = []string{"--max-uid-bytes=0", "--max-uid-connections=4096"}

// systemBus starts a bus with kcmd's policy, on which only root can run a service.
func systemBus(l *lab.Lab, root string) *lab.Bus {
	if os.Getuid() != 0 {
		must(fmt.Errorf("%w: only root can run a service on a system bus", errNot))
	}
	if err := lab.Missing(lab.BusPrograms...); err != nil {
		must(fmt.Errorf("%w: %w", errNot, err))
	}
	policy := got(os.ReadFile(filepath.Join(root, "data", "dbus", lab.BusName+".conf")))
	return got(l.NewBus(lab.SystemBus, string(policy)))
}

func startSSSD(b *bench, l *lab.Lab, p *peer, tracer ...string) {
	s := got(l.NewSSSD(tracer...))
	p.server = s
	b.serverCaches(p, s.Socket)
}

func startFile(b *bench, l *lab.Lab, p *peer, _ ...string) {
	file := "FILE:" + l.Path("cache")
	b.caches(p, file, file)
}

func startDir(b *bench, l *lab.Lab, p *peer, _ ...string) {
	dir := l.Path("caches")
	must(os.Mkdir(dir, 0o700))
	b.caches(p, "DIR:"+dir, "DIR::"+dir+"/tktbench")
}

func startKeyring(b *bench, _ *lab.Lab, p *peer, _ ...string) {
	collection := fmt.Sprintf("KEYRING:session:kcmd-bench-%d", os.Getpid())
	b.caches(p, collection, collection+":bench")
}
