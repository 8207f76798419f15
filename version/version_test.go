package version

import (
	"os"
	"runtime/debug"
	"strings"
	"testing"
)

func TestMeson(t *testing.T) {
	meson, err := os.ReadFile("../meson.build")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(meson), "version: '"+release+"'") {
		t.Errorf("meson.build does not have version %s", release)
	}
}

func TestRecorded(t *testing.T) {
	revision := debug.BuildSetting{Key: "vcs.revision", Value: "864772c0123456789abcdef"}
	for _, test := range []struct {
		settings []debug.BuildSetting
		want     string
	}{
		{nil, ""},
		{[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "false"}}, " (commit 864772c01234)"},
		{[]debug.BuildSetting{revision, {Key: "vcs.modified", Value: "true"}}, " (commit 864772c01234, modified)"},
		{[]debug.BuildSetting{{Key: "vcs.revision", Value: "864"}}, " (commit 864)"},
	} {
		if got := recorded(test.settings); got != test.want {
			t.Errorf("%v: %q, want %q", test.settings, got, test.want)
		}
	}
}
