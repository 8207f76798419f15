package main

import (
	"errors"
	"flag"
	"slices"
	"strings"
	"testing"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions(strings.Fields("--quick --only store,retrieve --peers sssd,kcmd-full,echo --tickets 7,20 --against /x/kcmd"))
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != quick.rounds || !slices.Equal(o.tickets, []int{7, 20}) {
		t.Errorf("got %d rounds, tickets %v", o.rounds, o.tickets)
	}
	b := &bench{options: o}
	if got := b.peerNames(); !slices.Equal(got, []string{"echo", "kcmd-full", "against-full", "sssd"}) {
		t.Errorf("the peers are %q", got)
	}
	var names []string
	for _, s := range o.wanted("store", "miss") {
		names = append(names, s.name)
	}
	if !slices.Equal(names, []string{"store"}) {
		t.Errorf("the steps are %q", names)
	}
	for _, name := range b.peerNames() {
		if findKind(name) == nil {
			t.Errorf("nobody knows %s", name)
		}
	}
}

func TestBadOptions(t *testing.T) {
	for _, c := range []struct{ args, want string }{
		{"--only frobnicate", `"frobnicate" is none of open, principal`},
		{"--peers mit", `"mit" is none of echo, kcmd-full`},
		{"--parts calls,", `"" is none of calls, frames`},
		{"--tickets 0", `"0" is no number from 1 to`},
		{"--clients many", `"many" is no number`},
		{"--quick --full", "only one of them"},
		{"--frobnicate", "-frobnicate"},
		{"quick", "unknown argument: quick"},
	} {
		if _, err := parseOptions(strings.Fields(c.args)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %v, want %q", c.args, err, c.want)
		}
	}
	if _, err := parseOptions([]string{"--help"}); !errors.Is(err, flag.ErrHelp) {
		t.Errorf("--help: got %v", err)
	}
}

func TestUsage(t *testing.T) {
	var out strings.Builder
	usage(&out)
	for _, want := range append(append(stepNames(), kindNames()...), parts...) {
		if !strings.Contains(out.String(), want) {
			t.Errorf("--help does not say %s", want)
		}
	}
	if strings.Contains(out.String(), "%!") {
		t.Errorf("--help is broken:\n%s", out.String())
	}
}

func TestNeeded(t *testing.T) {
	o, err := parseOptions(strings.Fields("--peers sssd,kcmd-full --parts commands"))
	if err != nil {
		t.Fatal(err)
	}
	needed := o.needed()
	for _, want := range []string{othersNeeded, "gcc", "kinit"} {
		if !slices.Contains(needed, want) {
			t.Errorf("%s is not in %q", want, needed)
		}
	}
	for _, not := range []string{"strace", "dbus-daemon"} {
		if slices.Contains(needed, not) {
			t.Errorf("%s is in %q", not, needed)
		}
	}
}
