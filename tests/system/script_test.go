package system

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"kcmd.org/kcmd/tests/lab"
)

// TestScripts runs the scripts of testdata/script. Each has a realm with a KDC
// of its own (users alice, bob and carol, the service $service), and a kcmd of
// its own with a socket and a SQLite database, which it starts itself.
//
// Beside the commands of testscript (exec, stdout, stderr, cmp, env...) a script has
// these. "!" before a command means that it must fail.
//
//	kcmd start [flag...]    start the daemon and wait until it is ready
//	kcmd stop               SIGTERM; it must exit with 0
//	kcmd kill9              SIGKILL
//	kcmd reload             SIGHUP, and wait until it has read its configuration
//	kcmd restart            stop and start
//	kcmd run [VARIABLE=VALUE...] [argument...]
//	                        run it in the foreground, with nothing else
//	kcmd activated [NAME...]
//	                        have systemd-socket-activate listen on its socket,
//	                        or on a socket for each name ("kcm" is $SOCKET)
//	kcmd configured FILE    start it with that file, in which variables are
//	                        replaced, and which names its sockets
//	kcmd running            it has not ended
//	kcmd said LINE          it has sent that line with sd_notify(3)
//	kcmd logged REGEX       there is such a line in its log
//
//	kinit [flag...] USER    with the user's password on its standard input
//	gss SERVICE             make GSSAPI contexts for the service
//	gss-acquired SERVICE    with a credential that was acquired first
//	klist, kvno, kswitch, kdestroy, busctl, gdbus
//	                        the real programs
//	kcmctl [argument...]    kcmctl
//	as UID COMMAND...       one of the commands above (not kcmd), or any
//	                        program, as another user; needs root
//	via NAME COMMAND...     through the socket $SOCKETS/NAME.sock
//	heimdal COMMAND...      Heimdal's kinit, klist, kgetcred, kswitch, kdestroy;
//	                        needs root
//	container NAME SOCKET   prepare a container with a user namespace, whose uid 0
//	                        is 50000 outside, with that socket mounted at the
//	                        default path of clients
//	in NAME COMMAND...      in that container, as its root; needs root
//	                        (as, via, in, heimdal can be combined)
//	until REGEX COMMAND...  repeat the command until it succeeds and its output
//	                        matches: a bus takes a moment
//
//	issued N [SERVICE]      the KDC has issued N tickets for the service
//	                        ($service) since the script began
//	kdc ahead SECONDS       replace the KDC by one whose clock is ahead
//	offset SECONDS          the default cache has this KDC offset
//
//	bus session|system      start a bus, on which kcmd will appear
//	bus stop, bus start     end the bus; start it again at the same address
//	watch NAME [UID]        start "gdbus monitor" on kcmd, as a user
//	follow NAME COMMAND...  start a client in the background
//	seen NAME REGEX         wait until that has printed such a line; with "!":
//	                        it has none so far
//	forget NAME             ignore its output so far
//
// Conditions: [root]; programs are installed: [bus] (a bus and its clients), [cc] (a C
// compiler), [faketime], [activation] (systemd-socket-activate), [heimdal]; namespaces
// can be made: [room] (for heimdal), [container] (for in); [keyring] (for KEYRING: caches).
// Variables: $service, $UID, $SOCKET, $SOCKETS (the directory of sockets),
// $DATABASE, $KEYTAB, $KRB5_CONFIG.
func TestScripts(t *testing.T) {
	lab.NeedKerberos(t)
	if _, err := program(); err != nil {
		t.Fatal(err)
	}
	// In the shared lab, so that an interrupt removes it.
	work, err := os.MkdirTemp(shared.Dir, "scripts-")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		WorkdirRoot:         work,
		RequireUniqueNames:  true,
		RequireExplicitExec: true,
		Setup:               setup,
		Condition:           condition,
		Cmds:                commands,
	})
}

// condition evaluates the conditions of TestScripts. With LAB_REQUIRED=1 a missing
// program is an error.
func condition(name string) (bool, error) {
	switch name {
	case "root":
		return os.Getuid() == 0, nil
	case "bus":
		return installed(lab.Missing(lab.BusPrograms...))
	case "cc":
		return installed(missingCompiler())
	case "faketime":
		return lab.Required() || lab.Faketime() != "", nil
	case "heimdal":
		return installed(lab.MissingHeimdal())
	case "room":
		return lab.NoRoom() == nil, nil
	case "keyring":
		return lab.HasKeyrings(), nil
	case "container":
		return lab.NoContainer() == nil, nil
	case "activation":
		return installed(lab.Missing("systemd-socket-activate"))
	}
	return false, errUnknownCondition
}

func installed(missing error) (bool, error) {
	if missing != nil && lab.Required() {
		return false, missing
	}
	return missing == nil, nil
}

// setup makes the world of a script.
func setup(env *testscript.Env) error {
	w, err := newWorld(strings.TrimPrefix(filepath.Base(env.WorkDir), "script-"))
	if err != nil {
		return err
	}
	t := env.T().(testing.TB)
	t.Cleanup(w.lab.Close)
	t.Cleanup(func() { lab.EndOfTest(t, w.daemon) })
	env.Values[worldKey{}] = w
	for _, kv := range w.env() {
		name, value, _ := strings.Cut(kv, "=")
		env.Setenv(name, value)
	}
	return nil
}
