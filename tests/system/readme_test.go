package system

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// readme returns the indented lines of a section of README.md.
func readme(t *testing.T, heading string) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut("\n"+string(text), "\n"+heading+"\n")
	if !ok {
		t.Fatalf("README.md has no section %q", heading)
	}
	section, _, _ := strings.Cut(rest, "\n#")
	var lines strings.Builder
	for line := range strings.Lines(section) {
		if command, ok := strings.CutPrefix(line, "    "); ok {
			lines.WriteString(command)
		}
	}
	if lines.Len() == 0 {
		t.Fatalf("section %q of README.md has no commands", heading)
	}
	return lines.String()
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

// varying matches what differs between two runs of the first commands of README.md.
var varying = regexp.MustCompile(`\d\d/\d\d/\d\d \d\d:\d\d:\d\d|(KCM:|/user/)\d+|/cache/[0-9a-f]{32}`)

// The commands at the top print what they print there.
func TestReadmeFirst(t *testing.T) {
	lab.Need(t, lab.BusPrograms...)
	w := newStoppedWorld(t, "readme")
	var err error
	if w.daemon.Bus, err = w.lab.NewBus(lab.SessionBus, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	transcript, _, _ := strings.Cut(readme(t, "# kcmd"), "tests/try")
	var got strings.Builder
	for line := range strings.Lines(transcript) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		cmd := exec.Command("bash", "-c", command)
		cmd.Env = w.env()
		if user, ok := strings.CutPrefix(command, "kinit "); ok {
			cmd.Stdin = strings.NewReader(lab.Password(strings.TrimSpace(user)) + "\n")
		}
		o := execute(cmd)
		got.WriteString(line + strings.TrimSpace(o.Stdout+o.Stderr) + "\n")
	}
	normal := func(s string) string {
		return varying.ReplaceAllString(strings.ReplaceAll(strings.TrimSpace(s), "\n\n", "\n"), "$1*")
	}
	if normal(got.String()) != normal(transcript) {
		t.Errorf("the commands print\n%s\nREADME.md has\n%s", got.String(), transcript)
	}
}

// tests/try, as at the top, runs to its end and leaves nothing.
func TestReadmeTry(t *testing.T) {
	lab.NeedKerberos(t)
	lab.Need(t, lab.BusPrograms...)
	cmd := exec.Command("bash", "-c", "tests/try")
	cmd.Dir = "../.."
	dir := shared.Path("try") // short, for the sockets
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd.Env = append(os.Environ(), "TMPDIR="+dir)
	out, err := cmd.CombinedOutput() // which builds kcmd: without a limit of time
	if err != nil || !strings.HasSuffix(string(out), "# This is the end.\n") {
		t.Errorf("%v\n%s", err, out)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("tests/try leaves %v: %v", left, err)
	}
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

// The configuration of "Containers" gives each socket its namespace.
func TestReadmeContainers(t *testing.T) {
	w := newStoppedWorld(t, "readme")
	config := w.lab.Path("kcmd.toml")
	text := strings.ReplaceAll(readme(t, "### Containers"), `"/run/`, `"`+w.lab.Dir+"/run/")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(w.lab.Path("run"), 0o755); err != nil {
		t.Fatal(err)
	}
	w.daemon.Unaddressed = true
	if err := w.daemon.Start("--config", config); err != nil {
		t.Fatal(err)
	}
	for socket, want := range map[string]string{
		"/run/.heim_org.h5l.kcm-socket": "namespace=default", "/run/kcmd-guests/kcm.sock": "namespace=guests",
	} {
		if line := "socket=" + w.lab.Dir + socket + " " + want; !strings.Contains(w.daemon.Log(), line) {
			t.Errorf("the log has no %q", line)
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
