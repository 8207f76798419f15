package main

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"os"
	"path/filepath"
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
	done := readSteps(t, file)
	for _, st := range steps {
		if n := done[st.name]; n < 2 {
			t.Errorf("kcmd did %s in %d circumstances, want 2 or more", st.name, n)
		}
		checkChart(t, filepath.Join(plots, "tickets-"+st.name+".svg"))
	}
	if !strings.Contains(out.String(), "\nThe marks\n") {
		t.Error("the report has no marks")
	}
	if t.Failed() {
		t.Log(out.String())
	}
}

// readSteps returns in how many circumstances kcmd did each step.
func readSteps(t *testing.T, file string) map[string]int {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Results []struct {
			key
			Times   *struct{ Median_us, P99_us float64 }
			Failure string
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	done := make(map[string]int)
	for _, r := range d.Results {
		if r.Failure != "" && !strings.HasPrefix(r.Failure, errNot.Error()) {
			t.Errorf("%s: %v: %s: %s", r.Peer, r.circumstances, r.Step, r.Failure)
		}
		if r.Times == nil {
			continue
		}
		if r.Times.Median_us <= 0 || r.Times.P99_us < r.Times.Median_us {
			t.Errorf("%s: %v: %s: %+v", r.Peer, r.circumstances, r.Step, *r.Times)
		}
		if r.Peer == "kcmd-full" {
			done[r.Step]++
		}
	}
	return done
}

// checkChart checks that a chart is well-formed and has lines.
func checkChart(t *testing.T, path string) {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Error(err)
		return
	}
	defer f.Close()
	lines := 0
	for d := xml.NewDecoder(f); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Errorf("%s: %v", path, err)
			return
		}
		if e, ok := token.(xml.StartElement); ok && e.Name.Local == "polyline" {
			lines++
		}
	}
	if lines == 0 {
		t.Errorf("%s has no lines", path)
	}
}

// needDriver skips the test where the driver cannot be compiled.
func needDriver(t *testing.T) {
	t.Helper()
	err := lab.Missing("gcc")
	if err == nil {
		_, err = os.Stat("/usr/include/krb5.h")
	}
	if err != nil && lab.Required() {
		t.Fatal(err)
	}
	if err != nil {
		t.Skip(err)
	}
}
