package ratelog_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"kcmd.org/kcmd/ratelog"
)

// TestInfo writes more lines than the rate allows, and one when the next is due.
func TestInfo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := ratelog.New(slog.New(slog.NewTextHandler(&out, nil)), 3, time.Minute)
		for range 10 {
			log.Info("refused", "uid", 1000)
		}
		if n := strings.Count(out.String(), "msg=refused uid=1000\n"); n != 3 {
			t.Errorf("%d lines, want the burst of 3:\n%s", n, &out)
		}
		out.Reset()
		time.Sleep(time.Minute)
		log.Info("refused")
		log.Info("refused")
		if n := strings.Count(out.String(), "\n"); n != 1 || !strings.Contains(out.String(), "more_not_shown=7") {
			t.Errorf("%d lines, want one that counts the 7 dropped ones:\n%s", n, &out)
		}
	})
}

// TestEach has one key write more than its rate: another one still writes, and
// all together have a rate too.
func TestEach(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out bytes.Buffer
		log := ratelog.NewEach[int](slog.New(slog.NewTextHandler(&out, nil)), 3, time.Minute)
		for range 1000 {
			log.Info(1, "refused", "uid", 1)
		}
		log.Info(2, "refused", "uid", 2)
		if n := strings.Count(out.String(), "uid=1\n"); n != 3 || !strings.Contains(out.String(), "uid=2\n") {
			t.Errorf("%d lines of the first, want 3, and one of the second:\n%s", n, &out)
		}
		time.Sleep(time.Minute)
		log.Info(1, "refused", "uid", 1)
		if !strings.Contains(out.String(), "more_not_shown=997") {
			t.Errorf("no line counts the 997 dropped ones:\n%s", &out)
		}
		out.Reset()
		for key := range 5000 {
			log.Info(key, "refused", "uid", key)
		}
		if n := strings.Count(out.String(), "\n"); n > 30 {
			t.Errorf("%d lines about all keys, want at most 30", n)
		}
	})
}
