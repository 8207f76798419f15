package system

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// readme returns the commands of a section of README.md.
func readme(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("README.md has no section %q", heading)
	}
	section, _, _ := strings.Cut(rest, "\n#")
	var commands strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			commands.WriteString(command)
		}
	}
	if commands.Len() == 0 {
		t.Fatalf("section %q of README.md has no commands", heading)
	}
	return commands.String()
}

// runReadme runs commands in a new directory, where kcmd is, and returns their
// output.
func runReadme(t *testing.T, w *world, commands string) string {
	t.Helper()
	// Whatever a section leaves running ends with it.
	cmd := exec.Command("bash", "-euc", "trap 'kill $(jobs -p) 2>/dev/null || :' EXIT\n"+commands)
	cmd.Dir = t.TempDir()
	if err := os.Symlink(w.daemon.Program, cmd.Dir+"/kcmd"); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(w.env(), "HOME="+cmd.Dir, "XDG_RUNTIME_DIR="+w.lab.Dir)
	cmd.Stdin = strings.NewReader(lab.Password("alice") + "\n")
	o := execute(cmd)
	if o.Err != nil {
		t.Fatalf("%v\n%s\n%s%s", o.Err, commands, o.Stdout, o.Stderr)
	}
	return o.Stdout
}

// The commands of "Run it by hand" work in the order of the text. Only the places
// differ: the directory, the realm, and the user of it.
func TestReadmeByHand(t *testing.T) {
	w := newStoppedWorld(t, "readme")
	commands := strings.NewReplacer("/tmp/", w.lab.Dir+"/", "/etc/krb5.conf", w.krb5conf).Replace(readme(t, "## Run it by hand"))
	commands = regexp.MustCompile(`\bkinit\b`).ReplaceAllString(commands, "kinit alice")
	if out := runReadme(t, w, commands); !strings.Contains(out, "Default principal: alice@KCMD.TEST") {
		t.Errorf("klist shows no tickets:\n%s", out)
	}
}

// The commands of "For one user" make a configuration by which klist finds kcmd.
func TestReadmeForOneUser(t *testing.T) {
	w := newStartedWorld(t, "readme")
	commands := strings.ReplaceAll(readme(t, "### For one user"), "/etc/krb5.conf", w.krb5conf)
	out := runReadme(t, w, commands+"cat ~/.config/krb5.conf; echo $KRB5_CONFIG\n")
	for _, want := range []string{"kcm_socket = " + w.lab.Dir + "/kcmd/kcm.sock", "/.config/krb5.conf:" + w.krb5conf} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}

// The commands of "D-Bus" work on a system bus.
func TestReadmeDBus(t *testing.T) {
	lab.Need(t, lab.BusPrograms...)
	if os.Getuid() != 0 {
		t.Skip("only root can run a service on a system bus")
	}
	w := newStoppedWorld(t, "readme")
	policy, err := servicePolicy()
	if err != nil {
		t.Fatal(err)
	}
	if w.daemon.Bus, err = w.lab.NewBus(lab.SystemBus, policy); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	out := runReadme(t, w, readme(t, "## D-Bus"))
	for _, want := range []string{"/org/kcmd/KCM1", "interface org.kcmd.KCM1.Manager"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
}
