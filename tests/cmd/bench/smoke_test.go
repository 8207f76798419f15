package main

import (
	"errors"
	"os"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

func TestMain(m *testing.M) {
	os.Exit(lab.Main(func(*lab.Lab) {}, m.Run))
}

// TestSmoke runs the bench for a moment with few peers: kcmd does every step, and
// no peer fails.
func TestSmoke(t *testing.T) {
	if testing.Short() {
		t.Skip("-short: the driver is not compiled")
	}
	lab.NeedKerberos(t)
	lab.Need(t, "gcc", "/usr/include/krb5.h")
	o, err := parseOptions([]string{"--smoke", "--root", "../../.."})
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	b := &bench{options: o, lab: l}
	if err := b.run(); err != nil {
		t.Fatal(err)
	}
	done := make(map[string]int)
	for _, r := range b.results {
		if r.failure != nil && !errors.Is(r.failure, errNot) {
			t.Errorf("%s: %v: %s: %v", r.Peer, r.circumstances, r.What, r.failure)
		}
		if (r.Peer == "kcmd-full" || r.What == "klist-A" && r.Peer == "canned") && len(r.Took) > 0 && r.Took.median() > 0 {
			done[r.What]++
		}
	}
	for _, st := range steps {
		want := 2
		if st.command && !st.collection {
			want = 1
		}
		if n := done[st.name]; n < want {
			t.Errorf("%s was done %d times, want %d or more", st.name, n, want)
		}
	}
	var out strings.Builder
	b.report(&out)
	if !strings.Contains(out.String(), "\nThe marks\n") || t.Failed() {
		t.Errorf("the report is\n%s", out.String())
	}
}
