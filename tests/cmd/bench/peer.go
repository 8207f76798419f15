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
	name  string
	place int // its number in every driver
	// cache and collection are TYPE:RESIDUAL: the cache to measure, and all caches.
	cache, collection, krb5conf string
	// socket is that of a KCM server or of the echo, "" without a server.
	socket string
	// pid is the process of the server, 0 without one, and ended returns an error
	// once it has ended.
	pid   int
	ended func() error
	// others is the number of other users with stored tickets.
	others int
	// failure ends the measuring of this peer.
	failure error
	// server is the canned one of the step that is measured.
	server *lab.Server

	isCanned   bool // its answers are recorded
	isKCM      bool // a KCM server
	isKcmd     bool // it takes a whole cache in one request (REPLACE)
	collects   bool // has several caches and a default one
	tidy       bool // removes a removed ticket
	tombstones bool // keeps a removed ticket until the cache is initialized
}

func (p *peer) isEcho() bool { return p.name == "echo" }

// kcmCache is the name of the measured cache at every KCM server.
var kcmCache = fmt.Sprintf("%d:bench", os.Getuid())

// A kind is a kind of peer.
type kind struct {
	name  string
	about string   // for --help
	needs []string // programs that must be installed for it
	start func(*bench, *peer) error
}

// kinds are in the order of the tables.
var kinds = []kind{
	{"echo", "kcmd's recorded answers, to a client without libkrb5", nil, startCanned},
	{"canned", "kcmd's recorded answers, to libkrb5", nil, startCanned},
	{"kcmd-full", "kcmd with its defaults: an answered change survives a power cut", nil, startKcmd(false, "--synchronous=full")},
	{"kcmd-normal", "kcmd with synchronous = normal", nil, startKcmd(false, "--synchronous=normal")},
	{"kcmd-memory", "kcmd with store = memory:", nil, startKcmd(false, "--store=memory:")},
	{"kcmd-bus", "kcmd-full on a system bus, with a subscriber", lab.BusPrograms, startKcmd(true, "--synchronous=full")},
	{"sssd", "sssd_kcm, alone", []string{othersNeeded, "unshare", "setpriv"}, startSSSD},
	{"file", "FILE: of libkrb5", nil, startFile},
	{"dir", "DIR: of libkrb5", nil, startDir},
	{"keyring", "KEYRING: of libkrb5", nil, startKeyring},
}

func (k *kind) isKcmd() bool { return strings.HasPrefix(k.name, "kcmd-") }

// othersNeeded stands for the servers that tests/install.sh unpacks.
const othersNeeded = "servers"

// against is the prefix of the peers that --against adds.
const against = "against-"

func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

// findKind returns the kind of a peer.
func findKind(name string) *kind {
	name = strings.Replace(name, against, "kcmd-", 1)
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	return &kinds[i]
}

// newPeer returns a peer with a place of its own.
func (b *bench) newPeer(name string) *peer {
	b.places++
	return &peer{name: name, place: b.places - 1}
}

// startPeers starts the peers. One that cannot be started keeps the reason, unless
// it is kcmd.
func (b *bench) startPeers() error {
	for _, name := range b.peerNames() {
		p := b.newPeer(name)
		b.peers = append(b.peers, p)
		b.progress("starting " + name)
		if err := findKind(name).start(b, p); err != nil {
			p.failure = err
			if p.isKcmd && !errors.Is(err, errNot) {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// peerNames are in the order of kinds, the peers of --against each after kcmd's.
func (b *bench) peerNames() []string {
	var names []string
	for _, name := range b.options.peers {
		names = append(names, name)
		if mode, ok := strings.CutPrefix(name, "kcmd-"); ok && b.options.against != "" {
			names = append(names, against+mode)
		}
	}
	return names
}

// serverCaches names the caches of a KCM server.
func (b *bench) serverCaches(p *peer, socket string) error {
	p.socket, p.isKCM, p.collects = socket, !p.isCanned, true
	return b.caches(p, "KCM:", "KCM:"+kcmCache)
}

// caches names the caches of a peer and writes its krb5.conf.
func (b *bench) caches(p *peer, collection, cache string) error {
	p.collection, p.cache = collection, cache
	p.krb5conf = b.lab.Path(p.name + ".conf")
	socket := cmp.Or(p.socket, "-")
	if b.realm != nil {
		return b.realm.WriteConfig(p.krb5conf, b.realm.KDC.Port, socket)
	}
	conf := fmt.Sprintf("[libdefaults]\n\tdefault_realm = %s\n\tkcm_socket = %s\n", lab.RealmName, socket)
	return os.WriteFile(p.krb5conf, []byte(conf), 0o644)
}

func startCanned(b *bench, p *peer) error {
	p.isCanned, p.tidy = true, true
	return b.serverCaches(p, b.lab.Path(p.name+".sock"))
}

// startKcmd starts a daemon with a lab of its own, if wanted on a system bus.
func startKcmd(bus bool, args ...string) func(*bench, *peer) error {
	return func(b *bench, p *peer) error {
		p.isKcmd, p.tidy = true, true
		l, err := lab.New()
		if err != nil {
			return err
		}
		b.labs = append(b.labs, l)
		d := l.NewDaemon(b.program(p.name))
		if bus {
			if d.Bus, err = systemBus(l, b.options.root); err != nil {
				return err
			}
		}
		if err := d.Start(append(args, noLimits...)...); err != nil {
			return err
		}
		if bus {
			if _, err := d.Bus.NewMonitor("bench", uint32(os.Getuid())); err != nil {
				return err
			}
		}
		p.pid, p.ended = d.PID(), func() error { return ended(d) }
		if err := b.serverCaches(p, d.Socket); err != nil || b.recorder != nil {
			return err
		}
		return b.startRecorder(p)
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

// ended returns an error once a daemon has ended.
func ended(d *lab.Daemon) error {
	if d.Running() {
		return nil
	}
	return errors.New("it ended:\n" + d.Log())
}

// systemBus starts a bus with kcmd's policy, on which only root can run a service.
func systemBus(l *lab.Lab, root string) (*lab.Bus, error) {
	if os.Getuid() != 0 {
		return nil, fmt.Errorf("%w: only root can run a service on a system bus", errNot)
	}
	if err := lab.Missing(lab.BusPrograms...); err != nil {
		return nil, fmt.Errorf("%w: %w", errNot, err)
	}
	policy, err := os.ReadFile(filepath.Join(root, "data", "dbus", lab.BusName+".conf"))
	if err != nil {
		return nil, err
	}
	return l.NewBus(lab.SystemBus, string(policy))
}

func startSSSD(b *bench, p *peer) error {
	s, err := b.lab.NewSSSD()
	return b.startOther(p, s, err)
}

func (b *bench) startOther(p *peer, s *lab.Server, err error) error {
	if err != nil {
		return err
	}
	p.pid, p.ended = s.PID(), s.Ended
	return b.serverCaches(p, s.Socket)
}

func startFile(b *bench, p *peer) error {
	p.tombstones = true
	file := "FILE:" + b.lab.Path("file-cache")
	return b.caches(p, file, file)
}

func startDir(b *bench, p *peer) error {
	p.tombstones, p.collects = true, true
	dir := b.lab.Path("dir-caches")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	return b.caches(p, "DIR:"+dir, "DIR::"+dir+"/tktbench")
}

func startKeyring(b *bench, p *peer) error {
	p.tidy, p.collects = true, true
	collection := fmt.Sprintf("KEYRING:session:kcmd-bench-%d", os.Getpid())
	return b.caches(p, collection, collection+":bench")
}

// memoryOf returns the resident memory of a process, in bytes.
func memoryOf(pid int) (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if err != nil {
		return 0, err
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(b), &size, &resident); err != nil || resident == 0 {
		return 0, fmt.Errorf("process %d has no memory: %w", pid, err)
	}
	return resident * int64(os.Getpagesize()), nil
}
