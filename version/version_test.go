package version

import (
	"os"
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
