package durability

import (
	"bytes"
	"os/exec"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// What the user of kinit reads when the disk is full, fails, or is read-only,
// and that klist works all the while. As soon as the disk is in order, kinit
// works again.
func TestKinit(t *testing.T) {
	t.Run("full", func(t *testing.T) {
		disk, d := newMemoryDisk(t)
		tryKinit(t, d, "No space left on device", func(t *testing.T) (end func()) {
			fill(t, disk)
			return func() { makeRoom(t, disk) }
		})
	})
	for _, tt := range []struct{ name, calls, text string }{
		{"failing", "fsync,fdatasync:error=EIO", "Input/output error"},
		{"read-only", "pwrite64:error=EROFS", "Read-only file system"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			needTracing(t)
			_, d := newLab(t)
			tryKinit(t, d, tt.text, func(t *testing.T) (end func()) { return inject(t, d.PID(), tt.calls) })
		})
	}
}

func tryKinit(t *testing.T, d *lab.Daemon, text string, begin func(*testing.T) (end func())) {
	if testing.Short() {
		t.Skip("-short: real clients and a KDC are not run")
	}
	lab.Need(t, lab.KerberosPrograms...)
	l, err := lab.New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	realm, err := l.NewRealm()
	if err != nil {
		t.Fatal(err)
	}
	conf := l.Path("krb5.conf")
	if err := realm.WriteConfig(conf, realm.KDC.Port, d.Socket); err != nil {
		t.Fatal(err)
	}
	start(t, d)
	run := func(user string, words ...string) (string, error) {
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Env = d.ClientEnv(conf)
		cmd.Stdin = strings.NewReader(lab.Password(user) + "\n")
		var said bytes.Buffer
		cmd.Stdout, cmd.Stderr = &said, &said
		err := lab.Run(cmd)
		return said.String(), err
	}
	if said, err := run("alice", "kinit", "alice"); err != nil {
		t.Fatalf("kinit: %v\n%s", err, said)
	}

	end := begin(t)
	for range 3 {
		said, err := run("bob", "kinit", "bob")
		if err == nil || !strings.Contains(said, text) {
			t.Errorf("kinit: %v\n%s\nwant it to say %q", err, said, text)
		}
		t.Log(lastLine(said))
		if said, err := run("", "klist"); err != nil || !strings.Contains(said, "principal: alice@KCMD.TEST") || !strings.Contains(said, "krbtgt/") {
			t.Errorf("klist: %v\n%s\nwant alice's tickets", err, said)
		}
	}

	end()
	if said, err := run("bob", "kinit", "bob"); err != nil {
		t.Errorf("kinit: %v\n%s", err, said)
	}
	if said, err := run("", "klist", "-A"); err != nil || strings.Count(said, "krbtgt/") != 2 {
		t.Errorf("klist: %v\n%s\nwant alice's and bob's tickets", err, said)
	}
}

func lastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}
