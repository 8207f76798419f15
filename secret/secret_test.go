package secret

import (
	"errors"
	"io"
	"strings"
	"testing"
)

func TestReadLine(t *testing.T) {
	r := strings.NewReader("first\nsecond")
	for _, want := range []string{"first", "second"} {
		if line, err := ReadLine(r); err != nil || string(line) != want {
			t.Errorf("got %q, %v; want %q", line, err, want)
		}
	}
	if _, err := ReadLine(r); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v", err)
	}
	if line, err := ReadLine(strings.NewReader(strings.Repeat("x", MaxPassword) + "\n")); err != nil || len(line) != MaxPassword {
		t.Errorf("the longest: %d bytes, %v", len(line), err)
	}
	if _, err := ReadLine(strings.NewReader(strings.Repeat("x", MaxPassword+1) + "\n")); !errors.Is(err, ErrTooLong) {
		t.Errorf("a longer one: %v", err)
	}
}
