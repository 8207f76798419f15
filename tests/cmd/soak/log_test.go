package main

import (
	"slices"
	"strings"
	"testing"
)

func TestUnexpected(t *testing.T) {
	const fine = `time=2026-11-21T13:00:00Z level=INFO msg=ready socket=/tmp/kcm.sock
time=2026-11-21T13:00:00Z level=INFO msg="request refused" err="a \"quoted\" word"
time=2026-11-21T13:00:00Z level=WARN msg="clients were cut off in the middle of a request" err=timeout
`
	const quit = "SIGQUIT: quit\n\ngoroutine 1 [running]:\n"
	if got := unexpected(fine+quit+fine, []span{{len(fine), len(fine + quit)}}); len(got) > 0 {
		t.Errorf("unexpected: %q", got)
	}
	for _, bad := range []string{
		"time=2026-11-21T13:00:00Z level=ERROR msg=\"clients were cut off in the middle of a request\"\n",
		"time=2026-11-21T13:00:00Z level=WARN msg=other\n",
		"panic: runtime error\n",
	} {
		if got := unexpected(fine+bad+fine, nil); !slices.Equal(got, []string{strings.TrimSpace(bad)}) {
			t.Errorf("got %q, want %q", got, bad)
		}
	}
}
