package system

import (
	"os"
	"strings"
	"testing"

	"kcmd.org/kcmd/tests/lab"
)

// manExample returns the commands of kcmd(8) after a line of text.
func manExample(t *testing.T, after string) string {
	t.Helper()
	page, err := os.ReadFile("../../data/man/kcmd.8")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(page), after+"\n.Bd -literal -offset indent\n")
	if !ok {
		t.Fatalf("kcmd(8) has no example after %q", after)
	}
	example, _, _ := strings.Cut(rest, ".Ed\n")
	return strings.NewReplacer(`\e`, `\`, `\(aq`, `'`).Replace(example)
}

// The example of tickets that expire within the hour finds a renewable one, and no
// other.
func TestManExpiring(t *testing.T) {
	lab.NeedKerberos(t)
	lab.Need(t, "jq")
	w := newStartedWorld(t, "man")
	for _, args := range [][]string{
		{"kinit", "-l", "30m", "-r", "1d", "alice"},
		{"kinit", "-l", "8h", "-c", "KCM:" + ownName() + ":later", "bob"},
	} {
		if o := w.client(w.lab.Dir, w.env(), args); o.Err != nil {
			t.Fatalf("%v: %v\n%s", args, o.Err, o.Stderr)
		}
	}
	out := runReadme(t, w, "PATH=.:$PATH KCMD_STORE=sqlite:"+w.daemon.Database+"\nexport KCMD_STORE\n"+manExample(t, "hour, renewable ones included:"))
	if want := ownName() + " alice@KCMD.TEST\n"; out != want {
		t.Errorf("printed %q, want %q", out, want)
	}
}
