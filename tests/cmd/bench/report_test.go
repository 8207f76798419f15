package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

// measured is a bench that has measured, three peers and one step.
func measured() *bench {
	o, _ := parseOptions(nil)
	b := &bench{options: o, peers: []*peer{{name: "echo"}, {name: "kcmd-full"}, {name: "sssd"}, {name: "file"}}}
	b.peers[1].isKcmd = true
	c := circumstances{byCalls, 300, usualSize, 1, 0}
	for name, took := range map[string]time.Duration{"echo": 10, "kcmd-full": 14, "sssd": 2800} {
		b.results.add(c, "retrieve", name).turn(series{took * time.Microsecond})
	}
	b.results.add(c, "retrieve", "file").Failure = fmt.Errorf("%w: 7 of 300", errSlow)
	return b
}

func TestReport(t *testing.T) {
	var out strings.Builder
	measured().report(&out)
	for _, want := range []string{
		"300 tickets of 1.2 KiB (us, median/99th percentile)\n",
		"                     echo  kcmd-full         sssd      file\n",
		"retrieve        10.0/10.0  14.0/14.0  2,800/2,800  too slow\n",
		"  of the echo       1.00x      1.40x         280x\n",
		"  kcmd-full is      1.40x      1.00x       0.005x\n",
		"file: too slow: 7 of 300\n",
		"RETRIEVE by libkrb5 ",
		"1.40x (14.0 and 10.0 us)",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestMarks(t *testing.T) {
	b := measured()
	find := func(what string) mark {
		for _, m := range b.marks() {
			if m.What == what {
				return m
			}
		}
		t.Fatalf("there is no mark %q", what)
		return mark{}
	}
	if m := find("RETRIEVE by libkrb5"); !m.Met || m.Measured == "" {
		t.Errorf("1.4 of 1.5 is %+v", m)
	}
	if m := find("RETRIEVE by frames"); m.Met || m.Measured != "" {
		t.Errorf("not measured is %+v", m)
	}
	b.results.first(circumstances{byCalls, 300, usualSize, 1, 0}, "retrieve", "echo").Turns[0] = 9 * time.Microsecond
	if m := find("RETRIEVE by libkrb5"); m.Met {
		t.Errorf("1.56 of 1.5 is %+v", m)
	}
}

func TestFailed(t *testing.T) {
	b := measured()
	if err := b.failed(); err != nil {
		t.Errorf("that file is slow is an error: %v", err)
	}
	ours := b.results.first(circumstances{byCalls, 300, usualSize, 1, 0}, "retrieve", "kcmd-full")
	for _, c := range []struct {
		failure error
		fails   bool
	}{
		{errors.New("KRB5_CC_IO"), true},
		{fmt.Errorf("%w: 7 of 300", errSlow), false},
		{fmt.Errorf("%w: too large", errNot), false},
	} {
		ours.Failure = c.failure
		if got := b.failed() != nil; got != c.fails {
			t.Errorf("%v is a failure: %v, want %v", c.failure, got, c.fails)
		}
	}
}

func TestNumbers(t *testing.T) {
	for _, c := range []struct{ got, want string }{
		{micros(40), "0.04"},
		{micros(11_400), "11.4"},
		{micros(123_400), "123"},
		{micros(2_520_499), "2,520"},
		{ratio(3, 2), "1.50x"},
		{ratio(21, 1), "21x"},
		{ratio(34_740, 10), "3,474x"},
		{ratio(1, 2000), "0.0005x"},
		{bytesText(1200), "1.2 KiB"},
		{bytesText(50 << 10), "50 KiB"},
		{bytesText(13<<20 + 1), "13 MiB"},
		{thousands(999), "999"},
		{thousands(1_234_567), "1,234,567"},
	} {
		if c.got != c.want {
			t.Errorf("got %s, want %s", c.got, c.want)
		}
	}
}
