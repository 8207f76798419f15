package main

import (
	"os"
	"os/exec"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"kcmd.org/kcmd/cmd/kcmctl/doctor"
	"kcmd.org/kcmd/cmd/kcmctl/render"
	"kcmd.org/kcmd/cmd/kcmctl/transfer"
	"kcmd.org/kcmd/tests/lab"
)

const manPage = "../../data/man/kcmctl.1"

func man(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile(manPage)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The manual page has each command and each flag.
func TestManCommands(t *testing.T) {
	page := man(t)
	var visit func(cmd *cobra.Command)
	visit = func(cmd *cobra.Command) {
		for _, c := range cmd.Commands() {
			if c.Hidden || c.Name() == "help" || cmd.Name() == "completion" {
				continue
			}
			if !strings.Contains(page, ".It Cm "+c.Name()) {
				t.Errorf("%s does not describe %s", manPage, c.Name())
			}
			visit(c)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if f.Hidden || f.Name == "help" {
				return
			}
			if !regexp.MustCompile(`Fl -` + f.Name + `\b`).MatchString(page) {
				t.Errorf("%s does not describe --%s of %s", manPage, f.Name, cmd.Name())
			}
		})
	}
	visit(newCommand())
}

// The manual page has each member of the JSON forms.
func TestManJSON(t *testing.T) {
	_, page, _ := strings.Cut(man(t), ".Sh JSON")
	page, _, _ = strings.Cut(page, ".Sh ENVIRONMENT")
	words := make(map[string]bool)
	for _, word := range strings.Fields(page) {
		words[word] = true
	}
	for _, form := range []any{
		render.Cache{}, render.Ticket{}, render.Status{}, render.Limits{}, render.User{}, render.Event{},
		render.Destroyed{}, render.Removed{}, doctor.Finding{}, transfer.Result{},
	} {
		for _, f := range reflect.VisibleFields(reflect.TypeOf(form)) {
			name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
			if name != "-" && !words[name] {
				t.Errorf("%s does not have the member %s of %T", manPage, name, form)
			}
		}
	}
}

// The manual page has each exit status of exit.go.
func TestManStatuses(t *testing.T) {
	for status := range exitKDC + 1 {
		if !regexp.MustCompile(`(?m)^\.It ` + string(rune('0'+status)) + `$`).MatchString(man(t)) {
			t.Errorf("%s does not describe the exit status %d", manPage, status)
		}
	}
}

func TestManLint(t *testing.T) {
	lab.Need(t, "mandoc")
	if out, err := exec.Command("mandoc", "-T", "lint", "-W", "warning", manPage).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v\n%s", err, out)
	}
}
