package main

import (
	"fmt"
	"os"
	"slices"
	"strings"

	"kcmd.org/kcmd/tests/lab"
)

// A peer is one that is measured.
type peer struct {
	name string
	// place is its number, which its place has in every driver.
	place int
	// traits are what its type of cache can and cannot do.
	traits
	// cache and collection are the names of the cache that is measured and of
	// all of them, TYPE:RESIDUAL; krb5conf is where libkrb5 learns the rest.
	cache, collection, krb5conf string
	// socket is that of a KCM server or of the echo, "" for what is no server.
	socket string
	// daemon is kcmd itself, nil if it is another.
	daemon *lab.Daemon
	// pid is the process of the server, 0 where there is none.
	pid int
	// ended returns an error once the server has ended; nil where there is none.
	ended func() error
	// others is how many other users have something stored there.
	others int
	// failure is why it cannot be measured at all, or not any further.
	failure error
}

// traits are what one type of cache has, and how it wants to be treated.
type traits struct {
	isKCM      bool // a KCM server
	isKcmd     bool // what this is all about
	collects   bool // there can be several caches and a default one
	private    bool // each process has its own
	together   bool // takes a whole cache in one request
	tidy       bool // removing a ticket leaves nothing of it
	tombstones bool // what was removed stays until the cache is made anew
}

func (p *peer) isEcho() bool { return p.name == "echo" }

// kcmCache is the name of the cache that is measured, at every KCM server.
var kcmCache = fmt.Sprintf("%d:bench", os.Getuid())

// A kind is a kind of peer that can be asked for.
type kind struct {
	name  string
	about string // for --help
	// needs are the programs that must be installed for it, besides those that
	// every run needs.
	needs []string
	start func(*bench, *peer) error
}

// isKcmd tells whether it is a kcmd.
func (k *kind) isKcmd() bool { return strings.HasPrefix(k.name, "kcmd-") }

// kinds are all of them, in the order of the tables.
var kinds = []kind{
	{"echo", "a bare exchange of as many bytes over a UNIX socket: the limit", nil, startEcho},
	{"kcmd-full", "kcmd as it is: what was answered survives a power cut", nil, startKcmd("--synchronous=full")},
	{"kcmd-normal", "kcmd with synchronous = normal", nil, startKcmd("--synchronous=normal")},
	{"kcmd-memory", "kcmd with store = memory:", nil, startKcmd("--store=memory:")},
	{"kcmd-bus", "kcmd-full on a system bus, with somebody who listens", lab.BusPrograms, startKcmdOnBus},
	{"sssd", "sssd_kcm, alone", []string{othersNeeded, "unshare", "setpriv"}, startSSSD},
	{"heimdal", "Heimdal's kcm, which forgets all when it ends", []string{othersNeeded, "unshare", "setpriv"}, startHeimdal},
	{"file", "FILE: of libkrb5", nil, startFile},
	{"dir", "DIR: of libkrb5", nil, startDir},
	{"memory", "MEMORY: of libkrb5: no other process sees it", nil, startMemory},
	{"keyring", "KEYRING: of libkrb5", nil, startKeyring},
}

// othersNeeded is the word for the servers that tests/install.sh unpacks.
const othersNeeded = "servers"

// against begins the names of the peers that --against adds.
const against = "against-"

func kindNames() []string {
	var names []string
	for _, k := range kinds {
		names = append(names, k.name)
	}
	return names
}

func findKind(name string) *kind {
	name = strings.Replace(name, against, "kcmd-", 1)
	i := slices.IndexFunc(kinds, func(k kind) bool { return k.name == name })
	if i < 0 {
		return nil
	}
	return &kinds[i]
}
