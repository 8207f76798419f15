package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what tests/bench was told, all checked.
type options struct {
	effort
	peers    []string
	only     []string // steps, nil for all
	parts    []string
	kcmd     string // path of the binary, "" to build it
	against  string // path of another one, "" for none
	root     string // of the module
	jsonFile string
	plotDir  string
	built    string // directory to be removed in the end
	needs    bool   // only print what must be installed
}

// An effort is how much is measured, and for how long.
type effort struct {
	name       string
	rounds     int
	slice      time.Duration // for each step, peer and round
	stepBudget time.Duration // for each step and peer: what is slower has fewer measurements
	fillBudget time.Duration // to make a cache, or to store other users: what is slower is too slow
	tickets    []int
	bigTickets []int // numbers of tickets of 50 KiB
	clients    []int
	users      []int // others who have something stored
	stored     []int // users, for the part scale
	runs       int   // of each command
	services   int   // for kvno
	caches     int   // for klist -A
}

var (
	usual = effort{
		name: "usual", rounds: 20, slice: 10 * time.Millisecond, stepBudget: 1500 * time.Millisecond, fillBudget: 6 * time.Second,
		tickets: []int{10, 300, 10_000}, bigTickets: []int{10}, clients: []int{8, 64}, users: []int{1000},
		stored: []int{10_000}, runs: 5, services: 200, caches: 50,
	}
	quick = effort{
		name: "quick", rounds: 12, slice: 5 * time.Millisecond, stepBudget: 500 * time.Millisecond, fillBudget: 2 * time.Second,
		tickets: []int{10, 300, 10_000}, clients: []int{8}, users: []int{1000},
		stored: []int{10_000}, runs: 3, services: 20, caches: 10,
	}
	full = effort{
		name: "full", rounds: 40, slice: 25 * time.Millisecond, stepBudget: 20 * time.Second, fillBudget: 2 * time.Minute,
		tickets: []int{10, 100, 300, 1000, 10_000}, bigTickets: []int{10, 100, 300}, clients: []int{8, 64}, users: []int{1000, 10_000},
		stored: []int{10_000, 30_000, 100_000}, runs: 10, services: 200, caches: 50,
	}
	smoke = effort{
		name: "smoke", rounds: 2, slice: 5 * time.Millisecond, stepBudget: time.Second, fillBudget: 5 * time.Second,
		tickets: []int{10}, clients: []int{2},
	}
)

// The parts of the bench, in their order.
const (
	partCalls       = "calls"
	partFrames      = "frames"
	partClients     = "clients"
	partSyncs       = "syncs"
	partCommands    = "commands"
	partAllocations = "allocations"
	partUsers       = "users"
	partScale       = "scale"
	partGrowth      = "growth"
)

var parts = []string{partCalls, partFrames, partClients, partSyncs, partAllocations, partCommands, partUsers, partScale, partGrowth}

const usageText = `usage: tests/bench [--quick | --full | --smoke] [--only STEPS] [--peers PEERS] [--parts PARTS] ...

Measures kcmd side by side with what else keeps tickets, on this machine, now:
installs or unpacks what is missing (Debian and Ubuntu; as root or through sudo),
builds kcmd, starts every peer in a temporary directory, and drives all of them by
the same calls of libkrb5, and the KCM servers also by frames. The peers take turns
in short rounds. What it prints are medians and 99th percentiles in microseconds,
and ratios, which compare the quietest turns: whatever else the machine does makes
turns only longer. In the end come the marks that kcmd is to reach. Nothing of it
is left afterwards.

Times never fail it: the exit status is 1 only if kcmd fails at something, or if
the bench cannot run.

How much (a few minutes, unless one of these is given):
  --quick            a minute or two
  --full             everything: about an hour, most of it for the slow peers
  --smoke            seconds: does the bench itself work?

What:
  --only STEPS       of the steps, separated by commas:
%s  --peers PEERS      only these:
%s  --parts PARTS      only these: %s
  --commands         the same as --parts commands: kinit, klist, kvno, GSSAPI
  --scale            the same as --parts scale,growth, with up to 100,000 users stored
  --tickets NUMBERS  in the cache
  --clients NUMBERS  at once
  --users NUMBERS    other users who have something stored
  --kcmd PATH        this kcmd instead of building one (also: LAB_KCMD)
  --against PATH     another kcmd besides, as the peers %s...

Where to:
  --json FILE        all that was measured, for programs
  --plot DIR         charts, as SVG

`

func usage(w io.Writer) {
	var stepLines, peerLines strings.Builder
	for _, s := range steps {
		fmt.Fprintf(&stepLines, "                       %-11s %s\n", s.name, s.about)
	}
	for _, k := range kinds {
		fmt.Fprintf(&peerLines, "                       %-11s %s\n", k.name, k.about)
	}
	fmt.Fprintf(w, usageText, stepLines.String(), peerLines.String(), strings.Join(parts, ", "), against)
}

// parseOptions reads the arguments. It returns flag.ErrHelp if they ask for help.
func parseOptions(args []string) (*options, error) {
	o := &options{effort: usual, peers: kindNames(), parts: parts}
	flags := flag.NewFlagSet("tests/bench", flag.ContinueOnError)
	flags.SetOutput(io.Discard)
	chosen := make(map[string]*bool)
	for _, name := range []string{"quick", "full", "smoke", "commands", "scale"} {
		chosen[name] = flags.Bool(name, false, "")
	}
	flags.Func("only", "", func(s string) error { return words(&o.only, s, stepNames()) })
	flags.Func("peers", "", func(s string) error { return words(&o.peers, s, kindNames()) })
	var asked []string
	flags.Func("parts", "", func(s string) error { return words(&asked, s, parts) })
	numbersAsked := make(map[string][]int)
	for _, name := range []string{"tickets", "clients", "users"} {
		flags.Func(name, "", func(s string) (err error) {
			numbersAsked[name], err = numbers(s)
			return err
		})
	}
	flags.StringVar(&o.kcmd, "kcmd", "", "")
	flags.StringVar(&o.against, "against", "", "")
	flags.StringVar(&o.jsonFile, "json", "", "")
	flags.StringVar(&o.plotDir, "plot", "", "")
	flags.StringVar(&o.root, "root", ".", "")
	flags.StringVar(&o.built, "built", "", "")
	flags.BoolVar(&o.needs, "needs", false, "")
	if err := flags.Parse(args); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unknown argument: %s", flags.Arg(0))
	}

	n := 0
	for name, e := range map[string]effort{"quick": quick, "full": full, "smoke": smoke} {
		if *chosen[name] {
			o.effort = e
			n++
		}
	}
	if n > 1 {
		return nil, errors.New("--quick, --full and --smoke: only one of them")
	}
	if *chosen["commands"] {
		asked = append(asked, partCommands)
	}
	if *chosen["scale"] {
		asked = append(asked, partScale, partGrowth)
		o.stored = full.stored
	}
	if o.effort.name == quick.name {
		o.parts = slices.DeleteFunc(slices.Clone(parts), func(p string) bool { return p == partAllocations || p == partGrowth })
	}
	if o.effort.name == smoke.name {
		o.parts = []string{partCalls, partFrames, partClients}
		if !flagGiven(flags, "peers") {
			o.peers = []string{"echo", "kcmd-full", "file"}
		}
	}
	if asked != nil {
		o.parts = asked
	}
	o.take(numbersAsked)
	return o, nil
}

// take puts the numbers that were asked for in the place of the usual ones.
func (o *options) take(asked map[string][]int) {
	for name, field := range map[string]*[]int{"tickets": &o.tickets, "clients": &o.clients, "users": &o.users} {
		if n, ok := asked[name]; ok {
			*field = n
		}
	}
}

func flagGiven(flags *flag.FlagSet, name string) bool {
	given := false
	flags.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	return given
}

// words reads a list of words that are separated by commas, each of them one of
// allowed, and puts them into the order of allowed.
func words(list *[]string, s string, allowed []string) error {
	given := strings.Split(s, ",")
	for _, w := range given {
		if !slices.Contains(allowed, w) {
			return fmt.Errorf("%q is none of %s", w, strings.Join(allowed, ", "))
		}
	}
	*list = nil
	for _, w := range allowed {
		if slices.Contains(given, w) {
			*list = append(*list, w)
		}
	}
	return nil
}

// most is the largest number of anything.
const most = 100_000

// numbers reads a list of numbers that are separated by commas.
func numbers(s string) ([]int, error) {
	var list []int
	for _, w := range strings.Split(s, ",") {
		n, err := strconv.Atoi(w)
		if err != nil || n < 1 || n > most {
			return nil, fmt.Errorf("%q is no number from 1 to %d", w, most)
		}
		list = append(list, n)
	}
	return list, nil
}

// has tells whether a part was asked for.
func (o *options) has(part string) bool { return slices.Contains(o.parts, part) }
