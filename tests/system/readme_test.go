package system

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// readme returns the commands of a section of README.md.
func readme(t *testing.T, heading string) string {
	t.Helper()
	var commands string
	for _, b := range readmeBlocks(t) {
		if b.heading == heading {
			commands += b.commands
		}
	}
	if commands == "" {
		t.Fatalf("section %q of README.md has no commands", heading)
	}
	return commands
}

// A readmeBlock is a block of indented lines of README.md.
type readmeBlock struct{ heading, commands string }

func readmeBlocks(t *testing.T) []readmeBlock {
	t.Helper()
	return blocksOf(t, "../../README.md")
}

// blocksOf returns the blocks of a page.
func blocksOf(t *testing.T, page string) (blocks []readmeBlock) {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var heading string
	inside := false
	for line := range strings.Lines(string(text)) {
		command, indented := strings.CutPrefix(line, "    ")
		switch {
		case indented && inside:
			blocks[len(blocks)-1].commands += command
		case indented:
			blocks = append(blocks, readmeBlock{heading, command})
			inside = true
		case strings.TrimSpace(line) != "":
			inside = false
			if strings.HasPrefix(line, "#") {
				heading = strings.TrimSpace(line)
			}
		}
	}
	return blocks
}

// Each block of README.md has a test that runs its commands, so that a new one gets a
// test, too.
func TestReadmeBlocksAreTested(t *testing.T) {
	tested := map[string][]string{
		"# kcmd":                     {"TestReadmeFirst", "TestReadmeTry", "TestReadmeRun", "TestReadmeRun"},
		"## Install":                 {"tests/boot/scenarios/package"},
		"## Build and install":       {"TestReadmeBuild", "TestReadmeBuild", "tests/boot/scenarios/service"},
		"### krb5.conf":              {"TestReadmeKrb5Conf"},
		"### Logins":                 {"TestReadmeLogins"},
		"## Run it by hand":          {"TestReadmeByHand"},
		"### For one user":           {"TestReadmeForOneUser"},
		"### Caches from a keytab":   {"TestReadmeKeep"},
		"### Containers":             {"TestReadmeContainers"},
		"## kcmctl":                  {"TestReadmeKcmctl"},
		"## D-Bus":                   {"TestReadmeDBus"},
		"## When something is wrong": {"TestReadmeKcmctl"},
		"## Turn it off":             {"tests/boot/scenarios/removal"},
	}
	for _, b := range readmeBlocks(t) {
		if len(tested[b.heading]) == 0 {
			t.Errorf("no test for this block of %q:\n%s", b.heading, b.commands)
			continue
		}
		tested[b.heading] = tested[b.heading][1:]
	}
	for heading, left := range tested {
		if len(left) > 0 {
			t.Errorf("section %q of README.md lacks the blocks of %v", heading, left)
		}
	}
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
var varying = regexp.MustCompile(`\d\d/\d\d/\d\d \d\d:\d\d:\d\d|(KCM:)\d+(?::[a-z0-9]+)?|(?:\d+ [A-Z][a-z]{2} )?(?:\d{4} )?\d\d:\d\d| {2,}`)

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
	transcript := readmeBlocks(t)[0].commands
	var got strings.Builder
	for line := range strings.Lines(transcript) {
		command, ok := strings.CutPrefix(line, "$ ")
		if !ok {
			continue
		}
		cmd := exec.Command("bash", "-c", command)
		cmd.Env = withKcmctl(t, w)
		if user, ok := strings.CutPrefix(command, "kinit "); ok {
			cmd.Stdin = strings.NewReader(lab.Password(strings.TrimSpace(user)) + "\n")
		}
		o := execute(cmd)
		got.WriteString(line + strings.TrimSpace(o.Stdout+o.Stderr) + "\n")
	}
	normal := func(s string) string {
		s = regexp.MustCompile(`\n\s+`).ReplaceAllString(strings.TrimSpace(s), "\n")
		return varying.ReplaceAllString(s, "$1*")
	}
	if normal(got.String()) != normal(transcript) {
		t.Errorf("the commands print\n%s\nREADME.md has\n%s", got.String(), transcript)
	}
}

// withKcmctl returns the environment of clients with kcmctl in PATH. The system bus of
// the machine is not theirs.
func withKcmctl(t *testing.T, w *world) []string {
	t.Helper()
	program, err := kcmctl()
	if err != nil {
		t.Fatal(err)
	}
	return append(w.env(), "PATH="+filepath.Dir(program)+":"+os.Getenv("PATH"), "DBUS_SYSTEM_BUS_ADDRESS=unix:path=/nonexistent")
}

// The commands for kcmctl work with a ticket of alice.
func TestReadmeKcmctl(t *testing.T) {
	lab.Need(t, "dbus-daemon")
	w := newStoppedWorld(t, "readme")
	var err error
	if w.daemon.Bus, err = w.lab.NewBus(lab.SessionBus, ""); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Start(); err != nil {
		t.Fatal(err)
	}
	out := runReadme(t, w, "kinit alice; export "+strings.Join(withKcmctl(t, w)[len(w.env()):], " ")+"\n"+readme(t, "## kcmctl")+readme(t, "## When something is wrong"))
	for _, want := range []string{"krbtgt/KCMD.TEST@KCMD.TEST", "is the default cache", "is valid, ends", "# EOF", "libkrb5 connects to kcmd"} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
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

// With the line of "krb5.conf", clients use kcmd.
func TestReadmeKrb5Conf(t *testing.T) {
	w := newStartedWorld(t, "readme")
	line := "[libdefaults]\n" + readme(t, "### krb5.conf") + "kcm_socket = " + w.daemon.Socket + "\n"
	if err := os.WriteFile(w.lab.Path("line.conf"), []byte(line), 0o644); err != nil {
		t.Fatal(err)
	}
	out := runReadme(t, w, "unset KRB5CCNAME\nexport KRB5_CONFIG=$SOCKETS/line.conf:$KRB5_CONFIG\nkinit alice\nklist\n")
	if !strings.Contains(out, "Ticket cache: KCM:") {
		t.Errorf("klist shows no cache in kcmd:\n%s", out)
	}
}

// The lines of "Logins" are those of docs/logins.md, which tests/boot tries.
func TestReadmeLogins(t *testing.T) {
	const heading = "## pam_krb5"
	for _, b := range blocksOf(t, "../../docs/logins.md") {
		if lines := readme(t, "### Logins"); b.heading == heading && b.commands != lines {
			t.Errorf("README.md has\n%s\ndocs/logins.md has\n%s", lines, b.commands)
		}
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

// The table fills a cache of this user, with the keytab of the test's realm.
func TestReadmeKeep(t *testing.T) {
	w := newStoppedWorld(t, "readme")
	table := strings.NewReplacer(
		"batch/host.example.com@EXAMPLE.COM", "host/server.kcmd.test@KCMD.TEST",
		"/etc/kcmd/batch.keytab", w.realm.Keytab,
		`"batch"`, ownName(),
	).Replace(readme(t, "### Caches from a keytab"))
	config := w.lab.Path("keep.toml")
	if err := os.WriteFile(config, []byte(table), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.daemon.Start("--config", config); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the cache", func() bool {
		return strings.Contains(w.tell("KCM:"+ownName(), "klist").Stdout, "Default principal: host/server.kcmd.test@KCMD.TEST")
	})
}
