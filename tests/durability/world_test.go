package durability

import (
	"strings"
	"testing"

	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// newLab returns a lab of the test's own with a daemon in it, not started.
func newLab(t *testing.T) (*lab.Lab, *lab.Daemon) {
	t.Helper()
	kcmd, err := program()
	if err != nil {
		t.Fatal(err)
	}
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	d := l.NewDaemon(kcmd)
	t.Cleanup(func() { checkEnd(t, d) })
	return l, d
}

// checkEnd ends the daemon, if it still runs, and checks that it has not
// misbehaved. If the test has failed it shows what the daemon said.
func checkEnd(t *testing.T, d *lab.Daemon) {
	if d.Running() {
		if err := d.Stop(); err != nil {
			t.Error(err)
		}
	}
	log := d.Log()
	for _, trouble := range []string{"WARNING: DATA RACE", "panic", "fatal error:"} {
		if strings.Contains(log, trouble) {
			t.Errorf("the daemon's log says %q", trouble)
		}
	}
	if t.Failed() {
		t.Logf("the daemon's log:\n%s", log)
	}
}

func start(t *testing.T, d *lab.Daemon) {
	t.Helper()
	if err := d.Start(); err != nil {
		t.Fatal(err)
	}
}

func mustDial(t *testing.T, socket string) *kcmclient.Client {
	t.Helper()
	c, err := dial(socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// mustAsk has the client ask for so many changes, which are made.
func mustAsk(t *testing.T, c *client, to *kcmclient.Client, changes int) {
	t.Helper()
	for range changes {
		if err := c.ask(to); err != nil {
			t.Fatal(err)
		}
	}
}

// stopAndInspect ends the daemon as systemd does, and looks at what it has left.
func stopAndInspect(t *testing.T, d *lab.Daemon, database string, clients ...*client) {
	t.Helper()
	if err := d.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := compareLeft(clients, database); err != nil {
		t.Error(err)
	}
}

// count tells how often the daemon has said so.
func count(d *lab.Daemon, said string) int { return strings.Count(d.Log(), said) }
