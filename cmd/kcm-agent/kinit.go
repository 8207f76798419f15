package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"

	"kcmd.org/kcmd/dbus/client"
)

// said maps what programs of MIT and Heimdal say, in lower case, to the errors of kcmd.
var said = []struct {
	text string
	err  error
}{
	{"password expired", client.ErrPasswordOld},
	{"password has expired", client.ErrPasswordOld},
	{"password incorrect", client.ErrPreauthFailed},
	{"preauthentication failed", client.ErrPreauthFailed},
	{"cannot contact any kdc", client.ErrKDCUnreachable},
	{"cannot find kdc", client.ErrKDCUnreachable},
	{"unable to reach any kdc", client.ErrKDCUnreachable},
	{"not found in kerberos database", client.ErrClientUnknown},
	{"client unknown", client.ErrClientUnknown},
	{"credentials have been revoked", client.ErrClientRevoked},
	{"clock skew", client.ErrClockSkew},
	{"password change rejected", client.ErrRejected},
}

// kinit gets a TGT where kcmd takes no passwords.
func kinit(ctx context.Context, principal, cache string, password []byte) error {
	args := []string{"--", principal}
	if cache != "" {
		args = append([]string{"-c", cache}, args...)
	}
	return runKerberos(ctx, "KCM:", "kinit", args, password)
}

// kpasswd changes a password where kcmd takes none. It sees no cache: it would protect its
// request with the TGT of the default one, and fail if that has expired.
func kpasswd(ctx context.Context, principal string, old, next []byte) error {
	return runKerberos(ctx, "MEMORY:", "kpasswd", []string{principal}, old, next, next)
}

// runKerberos runs a program with a default cache. It reads passwords from its standard
// input, a pipe.
func runKerberos(ctx context.Context, cache, program string, args []string, passwords ...[]byte) error {
	r, w, err := os.Pipe()
	if err != nil {
		return fmt.Errorf("cannot run %s: %w", program, err)
	}
	defer r.Close()
	go func() {
		defer w.Close()
		for _, p := range passwords {
			_, _ = w.Write(p)
			_, _ = w.Write([]byte("\n"))
		}
	}()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = append(os.Environ(), "KRB5CCNAME="+cache, "LC_ALL=C")
	cmd.Stdin = r
	out, err := cmd.CombinedOutput()
	r.Close() // ends the writer
	if err == nil {
		return nil
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) {
		return fmt.Errorf("cannot run %s: %w", program, err)
	}
	for _, s := range said {
		if strings.Contains(strings.ToLower(string(out)), s.text) {
			return s.err
		}
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	return errors.New(lines[len(lines)-1])
}
