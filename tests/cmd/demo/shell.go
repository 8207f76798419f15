package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"

	"kcmd.org/kcmd/tests/lab"
)

// shellFile gives bash a prompt that tells it from the user's other shells.
const shellFile = `[ ! -f ~/.bashrc ] || . ~/.bashrc
PS1='(kcmd) \w\$ '
`

// shell runs a shell with the realm, the bus and kcmd, and with tickets of alice.
func (s *stage) shell() error {
	s.say("A shell with the same realm, bus and kcmd. These users have passwords:")
	for _, user := range lab.Users {
		fmt.Printf("#   %-6s %s\n", user, lab.Password(user))
	}
	fmt.Println("# A service:  kvno " + lab.Service)
	fmt.Println("# The caches: kcmctl list, kcmctl show, kcmctl watch")
	fmt.Println("# The bus:    busctl --user tree " + lab.BusName)
	fmt.Println("# The log:    " + s.lab.Path("kcmd.log"))
	fmt.Println("# The store:  " + s.daemon.Database + "  (kcmd check, kcmd dump)")
	fmt.Println("# \"exit\" ends it and removes everything.")
	s.run("kinit alice")
	s.run("kvno " + lab.Service)
	s.run("klist")
	if s.err != nil {
		return s.err
	}
	cmd, err := s.shellCommand()
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	err = lab.Run(cmd)
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return nil // the status of the last command
	}
	return err
}

// shellCommand returns bash, or else sh.
func (s *stage) shellCommand() (*exec.Cmd, error) {
	file := s.lab.Path("bashrc")
	if err := os.WriteFile(file, []byte(shellFile), 0o644); err != nil {
		return nil, err
	}
	cmd := exec.Command("sh", "-i")
	if bash, err := exec.LookPath("bash"); err == nil {
		cmd = exec.Command(bash, "--rcfile", file, "-i")
	}
	cmd.Env = append(os.Environ(),
		"PS1=(kcmd) $ ",
		"KRB5_CONFIG="+s.krb5conf, "KRB5CCNAME=KCM:", "KCMD_STORE=sqlite:"+s.daemon.Database, s.bus.Env())
	return cmd, nil
}
