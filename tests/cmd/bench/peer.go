package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"kcmd.org/kcmd/tests/lab"
)

// A peer is a credential cache to measure, or the echo.
type peer struct {
	name string
	// place is its number in every driver.
	place int
	traits
	// cache and collection are TYPE:RESIDUAL: the cache to measure, and all caches.
	cache, collection, krb5conf string
	// socket is that of a KCM server or of the echo, "" without a server.
	socket string
	// daemon is nil for peers other than kcmd.
	daemon *lab.Daemon
	// pid is the process of the server, 0 without one.
	pid int
	// ended returns an error once the server has ended. It is nil without one.
	ended func() error
	// others is the number of other users with stored tickets.
	others int
	// failure ends the measuring of this peer.
	failure error
}

// Traits are the properties of a type of cache.
type traits struct {
	isKCM      bool // a KCM server
	isKcmd     bool
	collects   bool // has several caches and a default one
	private    bool // each process has its own
	together   bool // takes a whole cache in one request (REPLACE)
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
	{"echo", "an exchange of as many bytes over a UNIX socket", nil, startEcho},
	{"kcmd-full", "kcmd with its defaults: an answered change survives a power cut", nil, startKcmd("--synchronous=full")},
	{"kcmd-normal", "kcmd with synchronous = normal", nil, startKcmd("--synchronous=normal")},
	{"kcmd-memory", "kcmd with store = memory:", nil, startKcmd("--store=memory:")},
	{"kcmd-bus", "kcmd-full on a system bus, with a subscriber", lab.BusPrograms, startKcmdOnBus},
	{"sssd", "sssd_kcm, alone", []string{othersNeeded, "unshare", "setpriv"}, startSSSD},
	{"heimdal", "Heimdal's kcm, which stores nothing", []string{othersNeeded, "unshare", "setpriv"}, startHeimdal},
	{"file", "FILE: of libkrb5", nil, startFile},
	{"dir", "DIR: of libkrb5", nil, startDir},
	{"memory", "MEMORY: of libkrb5, which each process has for itself", nil, startMemory},
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
