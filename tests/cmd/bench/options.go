package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"kcmd.org/kcmd/tests/lab"
)

// options are the arguments of tests/bench, checked.
type options struct {
	effort
	peers, only, parts []string
	kcmd, against      string // paths of binaries
	root               string // of the module
	jsonFile, plotDir  string
	built              string // a directory to remove at the end
	needs              bool   // only print what must be installed
}

// An effort is how much is measured, and for how long.
type effort struct {
	rounds     int
	slice      time.Duration // of each step, peer and round
	stepBudget time.Duration // of each step and peer
	fillBudget time.Duration // to fill a cache, or to store for other users
	tickets    []int
	bigTickets []int // numbers of tickets of 50 KiB
	clients    []int
	users      []int // other users with stored tickets
	stored     []int // users, in the part scale
	runs       int   // of each command
	services   int   // of kvno
	caches     int   // of klist -A
}

var efforts = map[string]effort{
	"usual": {
		rounds: 20, slice: 10 * time.Millisecond, stepBudget: 1500 * time.Millisecond, fillBudget: 6 * time.Second,
		tickets: []int{10, 300, 10_000}, bigTickets: []int{10}, clients: []int{8, 64}, users: []int{1000},
		stored: []int{10_000}, runs: 5, services: 200, caches: 50,
	},
	"quick": {
		rounds: 12, slice: 5 * time.Millisecond, stepBudget: 500 * time.Millisecond, fillBudget: 2 * time.Second,
		tickets: []int{10, 300, 10_000}, clients: []int{8}, users: []int{1000},
		stored: []int{10_000}, runs: 3, services: 20, caches: 10,
	},
	"full": {
		rounds: 40, slice: 25 * time.Millisecond, stepBudget: 20 * time.Second, fillBudget: 2 * time.Minute,
		tickets: []int{10, 100, 300, 1000, 10_000}, bigTickets: []int{10, 100, 300}, clients: []int{8, 64}, users: []int{1000, 10_000},
		stored: []int{10_000, 30_000, 100_000}, runs: 10, services: 200, caches: 50,
	},
	"smoke": {
		rounds: 2, slice: 5 * time.Millisecond, stepBudget: time.Second, fillBudget: 5 * time.Second,
		tickets: []int{10}, clients: []int{2},
	},
}

// The parts of the bench, in their order.
var parts = []string{"calls", "clients", "syncs", "commands", "users", "scale", "growth"}

const usageText = `usage: tests/bench [--quick | --full | --smoke] [--only STEPS] [--peers PEERS] [--parts PARTS] ...

Measures kcmd beside other credential caches on this machine: installs or unpacks
what is missing (Debian and Ubuntu; as root or through sudo), builds kcmd, starts
every peer in a temporary directory, and makes the same calls of libkrb5 to all of
them in turn. It prints medians and 99th percentiles in microseconds, ratios of the
quietest turns, and the marks that kcmd has to reach. Nothing is left afterwards.

Times never fail it: the exit status is 1 only if kcmd fails at something, or if the
bench cannot run. It takes a few minutes unless --quick, --full or --smoke is given.

%s
The steps:
%s
The peers:
%s`

// newFlags returns the flags of o, and those that only choose others.
func newFlags(o *options) (flags *pflag.FlagSet, commands, scale *bool) {
	flags = pflag.NewFlagSet("tests/bench", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {}
	flags.Bool("quick", false, "a minute or two")
	flags.Bool("full", false, "everything: about an hour, most of it for slow peers")
	flags.Bool("smoke", false, "seconds: checks that the bench works")
	flags.StringSliceVar(&o.only, "only", nil, "only these `steps`, separated by commas")
	flags.StringSliceVar(&o.peers, "peers", kindNames(), "only these `peers`")
	flags.StringSliceVar(&o.parts, "parts", parts, "only these `parts`")
	commands = flags.Bool("commands", false, "--parts commands: kinit, klist, kvno, GSSAPI")
	scale = flags.Bool("scale", false, "--parts scale,growth, with up to 100,000 users stored")
	flags.IntSliceVar(&o.tickets, "tickets", nil, "`numbers` of tickets in the cache")
	flags.IntSliceVar(&o.clients, "clients", nil, "`numbers` of clients at once")
	flags.IntSliceVar(&o.users, "users", nil, "`numbers` of other users with stored tickets")
	flags.StringVar(&o.kcmd, "kcmd", "", "measure the binary at this `path` (also: LAB_KCMD)")
	flags.StringVar(&o.against, "against", "", "also measure the kcmd at this `path`, as the peers "+against+"...")
	flags.StringVar(&o.jsonFile, "json", "", "write all figures to this `file`")
	flags.StringVar(&o.plotDir, "plot", "", "write charts as SVG to this `directory`")
	flags.StringVar(&o.root, "root", ".", "")
	flags.StringVar(&o.built, "built", "", "")
	flags.BoolVar(&o.needs, "needs", false, "")
	for _, internal := range []string{"root", "built", "needs"} {
		_ = flags.MarkHidden(internal) // it exists
	}
	return flags, commands, scale
}

// usage returns the text of --help.
func usage() string {
	flags, _, _ := newFlags(new(options))
	for _, long := range []string{"peers", "parts"} {
		flags.Lookup(long).DefValue = "[]" // listed below
	}
	var stepLines, peerLines strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&stepLines, "  %-11s %s\n", s.name, s.about)
	}
	for _, k := range kinds {
		fmt.Fprintf(&peerLines, "  %-11s %s\n", k.name, k.about)
	}
	fmt.Fprintf(&peerLines, "\nThe parts: %s.\n", strings.Join(parts, ", "))
	return fmt.Sprintf(usageText, flags.FlagUsagesWrapped(85), stepLines.String(), peerLines.String())
}

// parseOptions reads the arguments. It returns pflag.ErrHelp if they ask for help.
func parseOptions(args []string) (*options, error) {
	o := new(options)
	flags, commands, scale := newFlags(o)
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument: %s", flags.Arg(0))
	}
	var chosen []string
	flags.Visit(func(f *pflag.Flag) {
		if _, ok := efforts[f.Name]; ok {
			chosen = append(chosen, f.Name)
		}
	})
	if len(chosen) > 1 {
		return nil, fmt.Errorf("--%s and --%s: only one of them is allowed", chosen[0], chosen[1])
	}
	chosen = append(chosen, "usual")
	o.take(efforts[chosen[0]])
	switch given := flags.Changed("parts"); {
	case *commands || *scale:
		if !given {
			o.parts = nil
		}
		if *commands {
			o.parts = append(o.parts, "commands")
		}
		if *scale {
			o.parts = append(o.parts, "scale", "growth")
			o.stored = efforts["full"].stored
		}
	case chosen[0] == "quick" && !given:
		o.parts = slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == "growth" })
	case chosen[0] == "smoke":
		if !given {
			o.parts = []string{"calls", "clients"}
		}
		if !flags.Changed("peers") {
			o.peers = []string{"echo", "kcmd-full", "file"}
		}
	}
	return o, o.check()
}

// take uses an effort, but for the numbers that were given.
func (o *options) take(e effort) {
	given := o.effort
	o.effort = e
	for _, n := range []struct{ field, given *[]int }{
		{&o.tickets, &given.tickets}, {&o.clients, &given.clients}, {&o.users, &given.users},
	} {
		if *n.given != nil {
			*n.field = *n.given
		}
	}
}

// check checks names and numbers, and puts names into their order.
func (o *options) check() error {
	for _, list := range []struct {
		flag    string
		given   *[]string
		allowed []string
	}{{"only", &o.only, stepNames()}, {"peers", &o.peers, kindNames()}, {"parts", &o.parts, parts}} {
		for _, w := range *list.given {
			if !slices.Contains(list.allowed, w) {
				return fmt.Errorf("--%s %s is not allowed; allowed: %s", list.flag, w, strings.Join(list.allowed, ", "))
			}
		}
		given := *list.given
		*list.given = slices.DeleteFunc(slices.Clone(list.allowed), func(w string) bool { return !slices.Contains(given, w) })
	}
	const most = 100_000
	for _, n := range slices.Concat(o.tickets, o.clients, o.users) {
		if n < 1 || n > most {
			return fmt.Errorf("%d is not allowed; allowed: numbers from 1 to %d", n, most)
		}
	}
	return nil
}

// steps returns those of the named steps that are to be measured.
func (o *options) steps(names ...string) []step {
	return slices.DeleteFunc(slices.Clone(steps), func(s step) bool {
		return !slices.Contains(names, s.name) || len(o.only) > 0 && !slices.Contains(o.only, s.name)
	})
}

// needed returns the programs and files that must be installed.
func (o *options) needed() []string {
	list := []string{"gcc", "/usr/include/krb5.h"}
	for _, name := range o.peers {
		list = append(list, findKind(name).needs...)
	}
	if slices.Contains(o.parts, "syncs") {
		list = append(list, "strace")
	}
	if slices.Contains(o.parts, "commands") {
		list = append(list, lab.KerberosPrograms...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}
