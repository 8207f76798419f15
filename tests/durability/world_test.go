package durability

import (
	"strings"
	"testing"

	kcmclient "kcmd.org/kcmd/kcmserver/kcm/client"
	"kcmd.org/kcmd/tests/lab"
)

// newLab returns a lab of the test's own with a daemon in it, not started. Some
// tests leave a store that only compareLeft may judge.
func newLab(t *testing.T) (*lab.Lab, *lab.Daemon) {
	t.Helper()
	return lab.NewForTest(t, program, lab.StopAtEnd)
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
