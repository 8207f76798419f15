package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"kcmd.org/kcmd/tests/lab"
)

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

// kcmCaches names the caches of a KCM server.
func (b *bench) kcmCaches(p *peer, socket string) error {
	p.socket = socket
	p.isKCM, p.collects = true, true
	p.collection, p.cache = "KCM:", "KCM:"+kcmCache
	return b.configure(p)
}

// configure writes the krb5.conf of a peer, with the socket of its server.
func (b *bench) configure(p *peer) error {
	p.krb5conf = b.lab.Path(p.name + ".conf")
	conf := fmt.Sprintf("[libdefaults]\n\tdefault_realm = %s\n\tkcm_socket = %s\n", lab.RealmName, cmp.Or(p.socket, "-"))
	return os.WriteFile(p.krb5conf, []byte(conf), 0o644)
}

func startEcho(b *bench, p *peer) error {
	socket := b.lab.Path("echo.sock")
	server, err := b.lab.Serve(exec.Command(b.driver, "echo", socket), b.lab.Path("echo.log"), socket)
	if err != nil {
		return err
	}
	p.socket, p.pid, p.ended = socket, server.PID(), server.Ended
	return nil
}

// startKcmd starts a daemon with a lab of its own.
func startKcmd(args ...string) func(*bench, *peer) error {
	return func(b *bench, p *peer) error { return b.startDaemon(p, false, args) }
}

func startKcmdOnBus(b *bench, p *peer) error {
	return b.startDaemon(p, true, []string{"--synchronous=full"})
}

func (b *bench) startDaemon(p *peer, bus bool, args []string) error {
	p.isKcmd, p.together, p.tidy = true, true, true
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
	p.daemon, p.pid, p.ended = d, d.PID(), func() error { return ended(d) }
	return b.kcmCaches(p, d.Socket)
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

func startHeimdal(b *bench, p *peer) error {
	p.tidy = true
	s, err := b.lab.NewHeimdalKCM()
	return b.startOther(p, s, err)
}

func (b *bench) startOther(p *peer, s *lab.Server, err error) error {
	if err != nil {
		return err
	}
	p.pid, p.ended = s.PID(), s.Ended
	return b.kcmCaches(p, s.Socket)
}

func startFile(b *bench, p *peer) error {
	p.tombstones = true
	p.cache = "FILE:" + b.lab.Path("file-cache")
	p.collection = p.cache
	return b.configure(p)
}

func startDir(b *bench, p *peer) error {
	p.tombstones, p.collects = true, true
	dir := b.lab.Path("dir-cache")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	p.collection, p.cache = "DIR:"+dir, "DIR::"+filepath.Join(dir, "tktbench")
	return b.configure(p)
}

func startMemory(b *bench, p *peer) error {
	p.private, p.tidy = true, true
	p.cache, p.collection = "MEMORY:bench", "MEMORY:bench"
	return b.configure(p)
}

func startKeyring(b *bench, p *peer) error {
	p.tidy, p.collects = true, true
	p.collection = fmt.Sprintf("KEYRING:session:kcmd-bench-%d", os.Getpid())
	p.cache = p.collection + ":bench"
	return b.configure(p)
}
