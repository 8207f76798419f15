package main

import (
	"strings"
	"testing"
)

func TestCheckLog(t *testing.T) {
	const fine = `time=2026-11-21T13:00:00Z level=INFO msg=ready socket=/tmp/kcm.sock
time=2026-11-21T13:00:00Z level=INFO msg="request refused" err="a \"quoted\" word"
time=2026-11-21T13:00:00Z level=WARN msg="clients were cut off in the middle of a request" err=timeout
`
	const quit = "SIGQUIT: quit\n\ngoroutine 1 [running]:\n"
	if err := checkLog(fine+quit+fine, []span{{len(fine), len(fine + quit)}}); err != nil {
		t.Error(err)
	}
	for _, bad := range []string{
		"time=2026-11-21T13:00:00Z level=ERROR msg=\"clients were cut off in the middle of a request\"\n",
		"time=2026-11-21T13:00:00Z level=WARN msg=other\n",
		"panic: runtime error\n",
	} {
		if err := checkLog(fine+bad+fine, nil); err == nil || err.Error() != strings.TrimSpace(bad) {
			t.Errorf("got %v, want %q", err, bad)
		}
	}
}
