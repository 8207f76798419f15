package system

import (
	"fmt"
	"os"
	"regexp"
	"testing"
)

// The daemon's memory has keys, so that a crash must not write it to disk.
func TestNoCoreDumps(t *testing.T) {
	_, d := newLab(t)
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", d.PID()))
	if err != nil {
		t.Fatal(err)
	}
	if !regexp.MustCompile(`(?m)^Max core file size +0 +0 `).Match(limits) {
		t.Errorf("core dumps are not off:\n%s", limits)
	}
}
