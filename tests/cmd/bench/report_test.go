package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// measured returns a bench with results of one step.
func measured() *bench {
	o, _ := parseOptions([]string{"--peers", "canned,kcmd-full,sssd,file"})
	b := &bench{options: o}
	for _, name := range b.peerNames() {
		b.peers = append(b.peers, b.newPeer(name, kindOf(name)))
	}
	for _, r := range []struct {
		peer string
		took time.Duration
	}{{"canned", 10}, {"kcmd-full", 14}, {"sssd", 2800}, {"file", 0}} {
		result := &result{key: key{usual(300), "retrieve", r.peer}}
		b.results = append(b.results, result)
		if r.took == 0 {
			result.failure = fmt.Errorf("%w: 7 of 300", errSlow)
			continue
		}
		result.add(series{r.took * time.Microsecond}, 0)
		result.add(series{2 * r.took * time.Microsecond}, anyProcessor)
	}
	return b
}

func TestReport(t *testing.T) {
	b := measured()
	var out strings.Builder
	b.report(&out)
	for _, want := range []string{
		"300 tickets (us: on one processor; median/99th percentile on any)\n",
		"retrieve        10.0; 20.0/20.0  14.0; 28.0/28.0  2,800; 5,600/5,600  too slow\n",
		"  kcmd-full is  1.40x            1.00x            0.005x              \n",
		"file: too slow: 7 of 300\n",
		"at most 1.4 x canned  1.40x (14.0 and 10.0 us)  met\n",
		"Not measured: RETRIEVE of a missing ticket; ",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	b.results[0].Turns[0] = 9 * time.Microsecond
	if m := b.markTable()[1]; m[3] != "not met" {
		t.Errorf("1.56 of 1.4 is %q", m)
	}
}

func TestFailed(t *testing.T) {
	b := measured()
	for _, c := range []struct {
		err   error
		fails bool
	}{
		{nil, false},
		{errors.New("KRB5_CC_IO"), true},
		{fmt.Errorf("%w: 7 of 300", errSlow), false},
		{fmt.Errorf("%w: too large", errNot), false},
	} {
		b.results[1].failure = c.err
		if got := b.failed() != nil; got != c.fails {
			t.Errorf("%v is a failure of kcmd: %v", c.err, got)
		}
	}
}

func TestSeries(t *testing.T) {
	s := make(series, 100)
	for i := range s {
		s[i] = time.Duration((i*37)%100 + 1) // 1 to 100 out of order
	}
	for q, want := range map[float64]time.Duration{0: 1, 0.5: 50, 0.99: 99, 1: 100} {
		if got := s.quantile(q); got != want {
			t.Errorf("quantile %v is %d, want %d", q, got, want)
		}
	}
	r := new(result)
	for i, turn := range []series{{50, 51, 900}, {5, 5, 5}, {10, 12, 14}, nil, {20, 20, 1}} {
		r.add(turn, processorOf(i))
	}
	if len(r.Took) != 3 || len(r.Turns) != 3 || slices.Min(r.Turns) != 12 {
		t.Errorf("%d measurements, %d turns on one processor, the quietest has %d; want 3, 3, 12", len(r.Took), len(r.Turns), slices.Min(r.Turns))
	}
}

func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		micros(40): "0.04", micros(11_400): "11.4", micros(2_520_499): "2,520", digits(0.0005): "0.0005",
		bytesText(1200): "1.2 KiB", bytesText(13<<20 + 1): "13 MiB", bytesText(7): "7 bytes", thousands(1_234_567): "1,234,567",
	} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

func TestTables(t *testing.T) {
	b := measured()
	var out strings.Builder
	b.printTables(&out)
	for _, want := range []string{
		"README.md, kcmd beside others:\n\n|  | `FILE:` | `KEYRING:` | `sssd_kcm` |\n|---|---|---|---|\n" +
			"| find one of 300 | - | - | 200 times as quick |\n",
		"| find one of 300 | 14.0 | - | - | - | - | 2,800 |\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "stored users") {
		t.Errorf("a table that was not measured is in\n%s", out.String())
	}
}
