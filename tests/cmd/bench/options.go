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
	against            string // path of a binary
	root               string // of the module
	built              string // a directory to remove at the end
	needs              bool   // only print what must be installed
	tables             bool   // print those of the documentation too
}

// An effort is how much is measured, and for how long.
type effort struct {
	rounds     int
	slice      time.Duration // of each step, peer and round
	stepBudget time.Duration // of each step and peer
	fillBudget time.Duration // to fill a cache, or to store for other users
	tickets    []int
	crowd      int // tickets, of clients at once
	clients    []int
	users      []int         // other users with stored tickets
	stored     []int         // users, in the part scale
	quietTime  time.Duration // of a quiet user beside others
}

var efforts = map[string]effort{
	"usual": {
		rounds: 20, slice: 10 * time.Millisecond, stepBudget: 1500 * time.Millisecond, fillBudget: 6 * time.Second,
		tickets: []int{10, 300, 10_000}, crowd: 300, clients: []int{8, 64}, users: []int{1000},
		stored: []int{10_000}, quietTime: 5 * time.Second,
	},
	"quick": {
		rounds: 12, slice: 5 * time.Millisecond, stepBudget: 500 * time.Millisecond, fillBudget: 2 * time.Second,
		tickets: []int{10, 300, 10_000}, crowd: 300, clients: []int{8}, users: []int{1000},
		stored: []int{10_000}, quietTime: 3 * time.Second,
	},
	"full": {
		rounds: 40, slice: 25 * time.Millisecond, stepBudget: 20 * time.Second, fillBudget: 2 * time.Minute,
		tickets: []int{10, 100, 300, 1000, 10_000}, crowd: 300, clients: []int{8, 64}, users: []int{1000, 10_000},
		stored: []int{10_000, 30_000, 100_000}, quietTime: 30 * time.Second,
	},
	"smoke": {
		rounds: 2, slice: 5 * time.Millisecond, stepBudget: time.Second, fillBudget: 5 * time.Second,
		tickets: []int{10, 20}, crowd: 10, clients: []int{2},
	},
}

// The parts of the bench, in their order.
var parts = []string{"calls", "commands", "clients", "syncs", "users", "scale", "memory", "fairness"}

const usageText = `usage: tests/bench [--quick | --full | --smoke] [--only STEPS] [--peers PEERS] [--parts PARTS] ...

Measures kcmd beside other credential caches on this machine: installs or unpacks
what is missing (Debian and Ubuntu; as root or through sudo), builds kcmd, starts
every peer in a temporary directory, and makes the same calls of libkrb5 to all of
them in turn. It prints medians and 99th percentiles in microseconds, ratios of the
quietest turns on one processor, and the marks that kcmd has to reach. Nothing is left afterwards.

Times never fail it: the exit status is 1 only if kcmd fails at something, or if the
bench cannot run. It takes a few minutes unless --quick, --full or --smoke is given.

%s
The steps:
%s
The peers:
%s`

// newFlags returns the flags of o, and one that only chooses others.
func newFlags(o *options) (flags *pflag.FlagSet, scale *bool) {
	flags = pflag.NewFlagSet("tests/bench", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {}
	flags.Bool("quick", false, "a minute or two")
	flags.Bool("full", false, "everything: about an hour, most of it for slow peers")
	flags.Bool("smoke", false, "seconds: checks that the bench works")
	flags.StringSliceVar(&o.only, "only", nil, "only these `steps`, separated by commas")
	flags.StringSliceVar(&o.peers, "peers", kindNames(), "only these `peers`")
	flags.StringSliceVar(&o.parts, "parts", parts, "only these `parts`")
	scale = flags.Bool("scale", false, "--parts scale, with up to 100,000 users stored")
	flags.BoolVar(&o.tables, "tables", false, "print the tables of README.md and docs/ too, with up to 100,000 users stored")
	flags.StringVar(&o.against, "against", "", "also measure the kcmd at this `path`, as the peers "+against+"...")
	flags.StringVar(&o.root, "root", ".", "")
	flags.StringVar(&o.built, "built", "", "")
	flags.BoolVar(&o.needs, "needs", false, "")
	for _, internal := range []string{"root", "built", "needs"} {
		_ = flags.MarkHidden(internal) // it exists
	}
	return flags, scale
}

// usage returns the text of --help.
func usage() string {
	flags, _ := newFlags(new(options))
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
	flags, scale := newFlags(o)
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
	o.effort = efforts[chosen[0]]
	switch given := flags.Changed("parts"); {
	case *scale:
		o.parts, o.stored = []string{"scale"}, efforts["full"].stored
	case o.tables && chosen[0] != "smoke":
		o.stored = efforts["full"].stored
	case chosen[0] == "smoke" && !given:
		o.parts = []string{"calls", "commands", "clients"}
	}
	if chosen[0] == "smoke" && !flags.Changed("peers") {
		o.peers = []string{"echo", "canned", "kcmd-full", "file"}
	}
	return o, o.check()
}

// check checks names, and puts them into their order.
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
	if slices.Contains(o.parts, "commands") {
		list = append(list, lab.KerberosPrograms...)
	}
	if slices.Contains(o.parts, "fairness") {
		list = append(append(list, "nice"), lab.BusPrograms...)
	}
	if slices.Contains(o.parts, "syncs") {
		list = append(list, "strace")
	}
	slices.Sort(list)
	return slices.Compact(list)
}
