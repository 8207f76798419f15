package main

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func TestOptions(t *testing.T) {
	o, err := parseOptions(strings.Fields("--quick --only store,retrieve --peers sssd,kcmd-full,echo --parts scale --against /x/kcmd"))
	if err != nil {
		t.Fatal(err)
	}
	if o.rounds != efforts["quick"].rounds || !slices.Equal(o.parts, []string{"scale"}) {
		t.Errorf("%d rounds, parts %q", o.rounds, o.parts)
	}
	if got := (&bench{options: o}).peerNames(); !slices.Equal(got, []string{"echo", "kcmd-full", "against-full", "sssd"}) {
		t.Errorf("the peers are %q", got)
	}
	if got := chosen(steps, o.only, stepName); len(got) != 2 || got[0].name != "retrieve" {
		t.Errorf("the steps are %v", got)
	}
	needed := o.needed()
	for _, want := range []string{othersNeeded, "gcc"} {
		if !slices.Contains(needed, want) {
			t.Errorf("%s is not in %q", want, needed)
		}
	}
	if slices.Contains(needed, "strace") {
		t.Errorf("strace is in %q", needed)
	}
}

func TestBadOptions(t *testing.T) {
	for args, want := range map[string]string{
		"--only frobnicate": "--only frobnicate is not allowed; allowed: retrieve, miss",
		"--peers mit":       "--peers mit is not allowed; allowed: echo, canned",
		"--quick --full":    "only one of them is allowed",
		"--frobnicate":      "unknown flag",
		"quick":             "unknown argument: quick",
	} {
		if _, err := parseOptions(strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", args, err, want)
		}
	}
	if _, err := parseOptions([]string{"--help"}); !errors.Is(err, pflag.ErrHelp) {
		t.Errorf("--help: %v", err)
	}
	for _, want := range slices.Concat(stepNames, kindNames, partNames) {
		if !strings.Contains(usage(), want) {
			t.Errorf("--help lacks %s", want)
		}
	}
}
