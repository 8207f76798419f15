package system

import (
	"fmt"
	"os/exec"
	"sync"

	"kcmd.org/kcmd/tests/lab"
)

// missingCompiler returns an error if programs over libkrb5 cannot be compiled.
func missingCompiler() error { return lab.Missing("gcc") }

// libkrb5Client compiles testdata/libkrb5/client.c once and returns the path of
// the program.
var libkrb5Client = sync.OnceValues(func() (string, error) {
	program := shared.Path("libkrb5-client")
	cmd := exec.Command("gcc", "-O2", "-Wall", "-Wextra", "-Werror", "-o", program,
		"testdata/libkrb5/client.c", "-lgssapi_krb5", "-lkrb5", "-lpthread")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("cannot compile testdata/libkrb5/client.c: %w\n%s", err, out)
	}
	return program, nil
})
