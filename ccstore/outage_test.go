package ccstore_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"kcmd.org/kcmd/ccstore"
	"kcmd.org/kcmd/ccstore/memory"
)

// TestOutageIsLoggedOnce has many commits fail one after the other, and then a
// disk on which every second one fails.
func TestOutageIsLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	b := &faulty{Backend: memory.New()}
	s := ccstore.Open(b, ccstore.Options{Logger: slog.New(slog.NewTextHandler(&out, nil))})
	defer s.Close()
	try := func(fails error) {
		t.Helper()
		b.before = fails
		if err := initialize(s, fmt.Sprint(b.commits)); !errors.Is(err, fails) {
			t.Errorf("Update: %v", err)
		}
	}
	said := func(what string) int { return strings.Count(out.String(), what) }

	full := errors.New("disk full")
	for range 100 {
		try(full)
	}
	try(nil)
	try(nil)
	if n := said(`level=ERROR msg="cannot write the store`); n != 1 {
		t.Errorf("the failure is logged %d times:\n%s", n, &out)
	}
	if said("disk full") != 1 || said(`level=INFO msg="can write the store again" failed=100`) != 1 {
		t.Errorf("neither the reason nor the end is logged:\n%s", &out)
	}

	for range 100 {
		try(full)
		try(nil)
	}
	if n := said("\n"); n > 10 {
		t.Errorf("%d lines for failing now and then:\n%s", n, &out)
	}
}
