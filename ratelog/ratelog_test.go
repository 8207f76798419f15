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
