package main

import (
	"context"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// A family is one library's programs, which a user runs one after the other.
type family struct {
	stage *stage
	uid   int
	env   []string
	lines []line
	// prepare makes a command one of the family's, run as uid.
	prepare func(*exec.Cmd) error
}

// A line is a command, and what it must say.
type line struct {
	command string
	says    []string
	fails   bool
}

const (
	programPause = 250 * time.Millisecond
)

func newMIT(s *stage, uid int) *family {
	return &family{
		stage: s,
		uid:   uid,
		env:   s.life.daemon.ClientEnv(s.krb5conf),
		lines: []line{
			{command: "kinit alice"},
			{command: "klist -s"},
			{command: "kvno " + lab.Service},
			{command: "klist", says: []string{"Default principal: alice@", lab.Service + "@"}},
			{command: "kinit bob"},
			{command: "klist -l", says: []string{"alice@", "bob@"}},
			{command: "kswitch -p alice"},
			{command: "kinit -R"},
			{command: "kvno " + lab.Service},
			{command: "klist -A", says: []string{"alice@", "bob@", lab.Service + "@"}},
			{command: "kdestroy"},
			{command: "kswitch -p bob"},
			{command: "klist", says: []string{"Default principal: bob@"}},
			{command: "kdestroy -A"},
			{command: "klist -s", fails: true},
		},
		prepare: func(cmd *exec.Cmd) error {
			lab.As(cmd, uint32(uid))
			return nil
		},
	}
}

// newHeimdal returns Heimdal's family, which look for the socket at the
// well-known path only and so run in rooms of their own.
func newHeimdal(s *stage, uid int) (*family, error) {
	h, err := s.lab.NewHeimdal()
	if err != nil {
		return nil, err
	}
	roomConf := s.lab.Path("krb5-room.conf")
	if err := s.realm.WriteConfig(roomConf, s.realm.KDC.Port, lab.WellKnownSocket); err != nil {
		return nil, err
	}
	room := lab.Room{Socket: s.life.daemon.Socket, UID: uid}
	return &family{
		stage: s,
		uid:   uid,
		// "KCM:" is a cache without a name to Heimdal 7.
		env: slices.DeleteFunc(s.life.daemon.ClientEnv(roomConf), func(kv string) bool { return kv == "KRB5CCNAME=KCM:" }),
		lines: []line{
			{command: "kinit --password-file=STDIN alice"},
			{command: "kgetcred " + lab.Service},
			{command: "klist", says: []string{"Principal: alice@", lab.Service + "@"}},
			{command: "kinit --password-file=STDIN bob"},
			{command: "klist -l", says: []string{"alice@", "bob@"}},
			{command: "kswitch -p alice@" + lab.RealmName},
			{command: "kinit -R"},
			{command: "klist -A", says: []string{"alice@", "bob@"}},
			{command: "kdestroy"},
		},
		prepare: func(cmd *exec.Cmd) error {
			h.Prepare(cmd)
			return room.Enter(cmd)
		},
	}, nil
}

func (f *family) play(ctx context.Context) error {
	return f.stage.repeat(ctx, programPause, f.round)
}

// round runs all the lines.
func (f *family) round(ctx context.Context) error {
	for _, l := range f.lines {
		if err := f.say(l); err != nil {
			return err
		}
		if !sleep(ctx, programPause) {
			return nil
		}
	}
	return nil
}

func (f *family) say(l line) error {
	words := strings.Fields(l.command)
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Env = slices.Clone(f.env)
	if name := words[len(words)-1]; words[0] == "kinit" && !strings.HasPrefix(name, "-") {
		cmd.Stdin = strings.NewReader(lab.Password(name) + "\n")
	}
	if err := f.prepare(cmd); err != nil {
		return err
	}
	out, err := f.stage.run(cmd)
	if l.fails {
		if err == nil {
			return fmt.Errorf("%s as %d: it should fail, and did not", l.command, f.uid)
		}
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s as %d: %w", l.command, f.uid, err)
	}
	for _, want := range l.says {
		if !strings.Contains(out, want) {
			return fmt.Errorf("%s as %d does not say %q:\n%s", l.command, f.uid, want, out)
		}
	}
	return nil
}
