package system

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// A migration is a section of docs/migration.md, run by a user with an old cache, which has
// tickets first.
type migration struct {
	heading string
	old     string // with variables of the shell
	back    string // what to run after the section, "": nothing
}

// Each block of docs/migration.md is run as it is printed, but for the directory /tmp.
// Where it replaces a server, so does the test.
func TestMigration(t *testing.T) {
	lab.NeedKerberos(t)
	tested := make(map[string]bool)
	for _, m := range []migration{
		{"## From a file", "FILE:/tmp/krb5cc_$(id -u)", ""},
		{"## From a directory", "DIR:$HOME/.cache/krb5cc", "## Back to files or keyrings"},
		{"## From a keyring", "KEYRING:persistent:$(id -u)", "## Back to files or keyrings"},
		{"## From sssd_kcm or Heimdal's kcm", "KCM:", ""},
	} {
		tested[m.heading], tested[m.back] = true, true
		t.Run(strings.ReplaceAll(strings.TrimPrefix(m.heading, "## "), " ", "-"), func(t *testing.T) { m.run(t) })
	}
	for _, b := range blocksOf(t, "../../docs/migration.md") {
		if !tested[b.heading] {
			t.Errorf("no test runs this block of %q:\n%s", b.heading, b.commands)
		}
	}
}

func (m migration) run(t *testing.T) {
	w := newStartedWorld(t, "migration")
	uid := os.Getuid()
	if uid == 0 && !strings.Contains(m.heading, "sssd") {
		uid = uidOfKeys // the persistent keyring of root is not ours
		t.Cleanup(func() { clearKeyrings(t) })
	}
	home, err := os.MkdirTemp(w.lab.Dir, "home")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{home, home + "/.cache"} {
		if err := os.MkdirAll(dir, 0o700); err == nil {
			err = os.Chown(dir, uid, -1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	script := `old="` + m.old + `"
systemctl() { export KRB5_CONFIG=$KCMD_CONFIG; }
fill() { KRB5CCNAME=$old kinit -f "$1" <<<"$2" >/dev/null; }
shown() { KRB5CCNAME=$1 klist -C -e -f -a -A | sed '/^Ticket cache/d; s/^$/--/' | sort; }
fill alice ` + lab.Password("alice") + `
case $old in FILE:*) ;; *) fill bob ` + lab.Password("bob") + ` ;; esac
before=$(shown "$old")
` + m.commands(t) + `
export KRB5_CONFIG=$KCMD_CONFIG
[ "$(shown KCM:)" = "$before" ] || { echo "KCM: has"; shown KCM:; echo "$old had"; echo "$before"; exit 1; }
KRB5CCNAME=KCM: kvno -q ` + w.service + `
`
	if m.back != "" {
		kind, _, _ := strings.Cut(m.old, ":")
		for _, b := range blocksOf(t, "../../docs/migration.md") {
			if b.heading == m.back && strings.Contains(b.commands, kind+":") {
				script += "before=$(shown KCM:)\n" + b.commands + `[ "$(shown "$old")" = "$before" ] || { shown "$old"; exit 1; }
`
			}
		}
	}
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", strings.ReplaceAll(script, "/tmp/", "$HOME/"))
	cmd.Env = append(withKcmctl(t, w), "HOME="+home, "KCMD_CONFIG="+w.krb5conf)
	if strings.Contains(m.heading, "sssd") {
		cmd.Env = append(cmd.Env, "KRB5_CONFIG="+sssdConfig(t, w))
	}
	if uid != os.Getuid() {
		lab.As(cmd, uint32(uid))
	}
	if o := execute(cmd); o.Err != nil {
		t.Errorf("%v\n%s%s", o.Err, o.Stdout, o.Stderr)
	}
}

// commands returns those of the section. What is for root only is left out if another
// user runs it; TestScripts/import-users and TestMigrationSSSD have the same.
func (m migration) commands(t *testing.T) (commands string) {
	for _, b := range blocksOf(t, "../../docs/migration.md") {
		if b.heading == m.heading && !strings.Contains(b.commands, "--all-users") {
			commands += b.commands
		}
	}
	return commands
}

// Root takes the caches of all users out of the database of sssd_kcm.
func TestMigrationSSSD(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("only root can read the database")
	}
	w := newStartedWorld(t, "migration")
	conf := sssdConfig(t, w)
	tell := func(conf string, words ...string) string {
		t.Helper()
		o := w.client(w.lab.Dir, append(w.env(), "KRB5CCNAME=KCM:", "KRB5_CONFIG="+conf), words)
		if o.Err != nil {
			t.Fatalf("%v: %v\n%s%s", words, o.Err, o.Stdout, o.Stderr)
		}
		return o.Stdout
	}
	listed := func(conf, uid string) string {
		t.Helper()
		return sortedBlocks(tell(conf, "as", uid, "klist", "-C", "-e", "-f", "-a", "-A"))
	}
	tell(conf, "as", "0", "kinit", "-f", "alice")
	tell(conf, "as", "0", "kvno", w.service)
	tell(conf, "as", "1977", "kinit", "bob")
	tell(conf, "as", "1977", "kinit", "carol")
	for _, b := range blocksOf(t, "../../docs/migration.md") {
		if command, found := strings.CutPrefix(b.commands, "kcmctl import --all-users SSSD:/var/lib/"); found {
			words := []string{"kcmctl", "import", "--all-users", "SSSD:" + w.lab.Path("sssd/lib") + "/" + strings.TrimSpace(command)}
			if out := tell(w.krb5conf, words...); strings.Count(out, "copied to KCM:") != 3 {
				t.Errorf("it prints\n%s", out)
			}
		}
	}
	for _, uid := range []string{"0", "1977"} {
		if before, got := listed(conf, uid), listed(w.krb5conf, uid); got != before {
			t.Errorf("uid %s had\n%s\nand has\n%s", uid, before, got)
		}
	}
	if before, got := tell(conf, "as", "1977", "klist"), tell(w.krb5conf, "as", "1977", "klist"); !strings.Contains(before, principalLine(got)) {
		t.Errorf("the default cache was\n%s\nand is\n%s", before, got)
	}
}

// principalLine returns the line with the default principal.
func principalLine(klist string) string {
	_, rest, _ := strings.Cut(klist, "Default principal: ")
	line, _, _ := strings.Cut(rest, "\n")
	return "Default principal: " + line + "\n"
}

// sssdConfig starts sssd_kcm, and returns a krb5.conf for its clients.
func sssdConfig(t *testing.T, w *world) string {
	t.Helper()
	server, err := w.lab.NewSSSD()
	if err != nil {
		t.Skip(err)
	}
	conf := w.lab.Path("sssd-" + strconv.Itoa(os.Getpid()) + ".conf")
	if err := w.realm.WriteConfig(conf, w.kdc.Port, server.Socket); err != nil {
		t.Fatal(err)
	}
	return conf
}
