package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(func(*lab.Lab) {}, m.Run))
}

// TestSmoke runs the bench for a moment, with few peers.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the driver is not compiled")
	}
	needDriver(t)
	dir := t.TempDir()
	file, plots := filepath.Join(dir, "bench.json"), filepath.Join(dir, "plots")
	o, err := parseOptions([]string{"--smoke", "--tickets", "10,20", "--root", "../../..", "--json", file, "--plot", plots})
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := run(o, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d document
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	checkSmoke(t, d)
	for _, st := range steps {
		if !strings.Contains(out.String(), "\n"+st.name+" ") {
			t.Errorf("the table has no line for %s", st.name)
		}
		if _, err := os.Stat(filepath.Join(plots, "tickets-"+st.name+".svg")); err != nil {
			t.Error(err)
		}
	}
	if !strings.Contains(out.String(), "\nThe marks\n") {
		t.Error("there are no marks")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// checkSmoke checks that kcmd did every step, and that nobody failed.
func checkSmoke(t *testing.T, d document) {
	t.Helper()
	did := make(map[string][]string) // by circumstances, kcmd's steps
	for _, r := range d.Results {
		if r.Failure != "" && !strings.HasPrefix(r.Failure, errNot.Error()) {
			t.Errorf("%s: %v: %s: %s", r.Peer, r.circumstances, r.Step, r.Failure)
		}
		if r.Times == nil {
			continue
		}
		if r.Times.Median <= 0 || r.Times.P99 < r.Times.Median || r.Times.Samples == 0 {
			t.Errorf("%s: %v: %s: %+v", r.Peer, r.circumstances, r.Step, *r.Times)
		}
		if r.Peer == "kcmd-full" {
			did[r.circumstances.String()] = append(did[r.circumstances.String()], r.Step)
		}
	}
	for where, want := range map[string][]string{
		"10 tickets of 1.2 KiB":                    stepNames(),
		"20 tickets of 1.2 KiB":                    stepNames(),
		"frames, 10 tickets of 1.2 KiB":            {"principal", "retrieve", "miss", "iterate", "store"},
		"10 tickets of 1.2 KiB, 2 clients at once": {"retrieve", "miss", "iterate", "store"},
	} {
		if got := did[where]; !slices.Equal(got, want) {
			t.Errorf("%s: kcmd did %q, want %q", where, got, want)
		}
	}
}

// needDriver skips the test where the driver cannot be compiled.
func needDriver(t *testing.T) {
	t.Helper()
	err := lab.Missing("gcc")
	if err == nil {
		_, err = os.Stat("/usr/include/krb5.h")
	}
	if err == nil {
		return
	}
	if lab.Required() {
		t.Fatal(err)
	}
	t.Skip(err)
}
