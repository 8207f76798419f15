package main

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"kcmd.org/kcmd/tests/lab"
)

// A step is something that programs do with a credential cache. driver/driver.c
// has the calls.
type step struct {
	name, about string
	collection  bool // needs several caches
	changes     bool // changes the measured cache
	command     bool // is a whole program
}

var steps = []step{
	{name: "retrieve", about: "find a ticket"},
	{name: "miss", about: "look for a ticket that is not in the cache"},
	{name: "principal", about: "get the principal of the cache"},
	{name: "iterate", about: "get all tickets"},
	{name: "collection", about: "list 10 caches, as klist -l does", collection: true},
	{name: "replace", about: "replace another cache by three tickets, as kinit does"},
	{name: "store", about: "store a new ticket; remove it, unmeasured, where the type can", changes: true},
	{name: "again", about: "store a ticket that is in the cache", changes: true},
	{name: "kinit", about: "the command, with a keytab, in place of an older TGT", command: true},
	{name: "klist", about: "the command, of two tickets", command: true},
	{name: "kvno", about: "the command, for a ticket that is in the cache", command: true},
	{name: "klist-A", about: "the command, of 50 caches", command: true, collection: true},
}

// A part is one kind of measurement.
type part struct {
	name    string
	measure func(*bench)
	root    string   // what only root can do, if it needs that
	needs   []string // programs that must be installed
}

// The parts of the bench, in their order.
var parts = []part{
	{"calls", (*bench).calls, "", nil},
	{"commands", (*bench).commands, "", lab.KerberosPrograms},
	{"clients", (*bench).manyClients, "", nil},
	{"syncs", (*bench).syncs, "", []string{"strace"}},
	{"users", (*bench).manyUsers, "store for other users", nil},
	{"scale", (*bench).scale, "store for other users", nil},
	{"memory", (*bench).memory, "store for other users", nil},
	{"fairness", (*bench).fairness, "be several users", append([]string{"nice"}, lab.BusPrograms...)},
}

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
	quietTime  time.Duration // of a quiet user beside others
	tickets    []int
	crowd      int // tickets, of clients at once
	clients    []int
	users      []int // other users with stored tickets
	stored     []int // users, in the part scale
}

var (
	fewTickets   = []int{10, 300, 10_000}
	storedInFull = []int{10_000, 30_000, 100_000}
	efforts      = map[string]effort{
		"usual": {20, 10 * time.Millisecond, 1500 * time.Millisecond, 6 * time.Second, 5 * time.Second,
			fewTickets, 300, []int{8, 64}, []int{1000}, []int{10_000}},
		"quick": {12, 5 * time.Millisecond, 500 * time.Millisecond, 2 * time.Second, 3 * time.Second,
			fewTickets, 300, []int{8}, []int{1000}, []int{10_000}},
		"full": {40, 25 * time.Millisecond, 20 * time.Second, 2 * time.Minute, 30 * time.Second,
			[]int{10, 100, 300, 1000, 10_000}, 300, []int{8, 64}, []int{1000, 10_000}, storedInFull},
		"smoke": {2, 5 * time.Millisecond, time.Second, 5 * time.Second, time.Second,
			[]int{10, 20}, 10, []int{2}, nil, nil},
	}
)

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
%s
The parts: %s.
`

// newFlags returns the flags of o, and one that only chooses others.
func newFlags(o *options) (flags *pflag.FlagSet, scale *bool) {
	flags = pflag.NewFlagSet("tests/bench", pflag.ContinueOnError)
	flags.SortFlags = false
	flags.Usage = func() {}
	flags.Bool("quick", false, "a minute or two")
	flags.Bool("full", false, "everything: about an hour, most of it for slow peers")
	flags.Bool("smoke", false, "seconds: checks that the bench works")
	flags.StringSliceVar(&o.only, "only", nil, "only these `steps`, separated by commas")
	flags.StringSliceVar(&o.peers, "peers", nil, "only these `peers`")
	flags.StringSliceVar(&o.parts, "parts", nil, "only these `parts`")
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
	var stepLines, peerLines strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&stepLines, "  %-11s %s\n", s.name, s.about)
	}
	for _, k := range kinds {
		fmt.Fprintf(&peerLines, "  %-11s %s\n", k.name, k.about)
	}
	return fmt.Sprintf(usageText, flags.FlagUsagesWrapped(85), stepLines.String(), peerLines.String(), strings.Join(partNames, ", "))
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
	chosen := "usual"
	for _, name := range []string{"quick", "full", "smoke"} {
		if given, _ := flags.GetBool(name); given && chosen != "usual" {
			return nil, fmt.Errorf("--%s and --%s: only one of them is allowed", chosen, name)
		} else if given {
			chosen = name
		}
	}
	o.effort = efforts[chosen]
	if *scale || o.tables && chosen != "smoke" {
		o.stored = storedInFull
	}
	peers, parts := kindNames, partNames
	if chosen == "smoke" {
		peers, parts = []string{"echo", "canned", "kcmd-full", "file"}, []string{"calls", "commands", "clients"}
	}
	if *scale {
		o.parts = []string{"scale"}
	}
	for _, list := range []struct {
		flag           string
		given          *[]string
		usual, allowed []string
	}{{"only", &o.only, stepNames, stepNames}, {"peers", &o.peers, peers, kindNames}, {"parts", &o.parts, parts, partNames}} {
		if len(*list.given) == 0 {
			*list.given = list.usual
		}
		for _, name := range *list.given {
			if !slices.Contains(list.allowed, name) {
				return nil, fmt.Errorf("--%s %s is not allowed; allowed: %s", list.flag, name, strings.Join(list.allowed, ", "))
			}
		}
	}
	return o, nil
}

// needed returns the programs and files that must be installed.
func (o *options) needed() []string {
	list := []string{"gcc", "/usr/include/krb5.h"}
	for _, k := range chosen(kinds, o.peers, kindName) {
		list = append(list, k.needs...)
	}
	for _, p := range chosen(parts, o.parts, partName) {
		list = append(list, p.needs...)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

var (
	stepNames = names(steps, stepName)
	kindNames = names(kinds, kindName)
	partNames = names(parts, partName)
)

func stepName(s step) string { return s.name }
func kindName(k kind) string { return k.name }
func partName(p part) string { return p.name }

func names[T any](list []T, name func(T) string) (all []string) {
	for _, one := range list {
		all = append(all, name(one))
	}
	return all
}

// chosen returns those of a list that have one of these names, in its order.
func chosen[T any](list []T, these []string, name func(T) string) []T {
	return slices.DeleteFunc(slices.Clone(list), func(one T) bool { return !slices.Contains(these, name(one)) })
}
