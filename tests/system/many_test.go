package system

import (
	"fmt"
	"strings"
	"sync"
	"testing"
)

// Many clients at once, each with a cache of its own in one collection, do not disturb
// each other.
func TestManyAtOnce(t *testing.T) {
	w := newStartedWorld(t, "many")

	const clients = 12
	var all sync.WaitGroup
	for i := range clients {
		all.Go(func() {
			cache := fmt.Sprintf("KCM:%s:%d", ownName(), i)
			for _, line := range []string{"kinit alice", "kvno " + w.service, "klist -s", "kinit -R", "kvno " + w.service} {
				if o := w.tell(cache, strings.Fields(line)...); o.Err != nil {
					t.Errorf("%s in %s: %v\n%s", line, cache, o.Err, o.Stderr)
				}
			}
			o := w.tell(cache, "klist")
			if tickets := strings.Count(o.Stdout, "@KCMD.TEST\n") - 1; o.Err != nil || tickets != 2 {
				t.Errorf("%s has %d tickets, want 2 (%v):\n%s", cache, tickets, o.Err, o.Stdout)
			}
		})
	}
	all.Wait()
	if o := w.tell("KCM:", "klist", "-l"); strings.Count(o.Stdout, "alice@KCMD.TEST") != clients {
		t.Errorf("not all caches are there:\n%s", o.Stdout)
	}
}
