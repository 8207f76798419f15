package system

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"kcmd.org/kcmd/tests/lab"
)

var errUnknownCondition = errors.New("unknown condition")

// commands are the commands of scripts beside those of testscript. TestScripts
// documents them.
var commands = map[string]func(ts *testscript.TestScript, neg bool, args []string){
	"kcmd":     cmdKcmd,
	"kinit":    clientCommand("kinit"),
	"klist":    clientCommand("klist"),
	"kvno":     clientCommand("kvno"),
	"kswitch":  clientCommand("kswitch"),
	"kdestroy": clientCommand("kdestroy"),
	"busctl":   clientCommand("busctl"),
	"gdbus":    clientCommand("gdbus"),
	"kcmctl":   clientCommand("kcmctl"),
	"as":       clientCommand("as"),
	"via":      clientCommand("via"),
	"in":       clientCommand("in"),
	"heimdal":  clientCommand("heimdal"),

	"gss":          cmdGSS("gss"),
	"gss-acquired": cmdGSS("gss-acquired"),
	"container":    cmdContainer,

	"until":  cmdUntil,
	"issued": cmdIssued,
	"kdc":    cmdKDC,
	"offset": cmdOffset,
	"bus":    cmdBus,
	"watch":  cmdWatch,
	"follow": cmdFollow,
	"seen":   cmdSeen,
	"forget": cmdForget,
}

func worldOf(ts *testscript.TestScript) *world {
	return ts.Value(worldKey{}).(*world)
}

// scriptEnv returns the script's environment as it is now: the variables of
// its world, as "env" may have changed them since.
func scriptEnv(ts *testscript.TestScript) []string {
	names := []string{"KRB5_TRACE", "KRB5_KTNAME", "PAM_TYPE", "PAM_USER", "DBUS_SESSION_BUS_ADDRESS", "DBUS_SYSTEM_BUS_ADDRESS"}
	for _, kv := range worldOf(ts).env() {
		name, _, _ := strings.Cut(kv, "=")
		names = append(names, name)
	}
	var env []string
	for _, name := range names {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// report shows the output of a command, and fails the script if its status is not the
// expected one.
func report(ts *testscript.TestScript, neg bool, o outcome) {
	fmt.Fprint(ts.Stdout(), o.Stdout)
	fmt.Fprint(ts.Stderr(), o.Stderr)
	var exit *exec.ExitError
	switch {
	case o.Err != nil && (!neg || !errors.As(o.Err, &exit) || exit.ExitCode() < 0):
		// A command that could not be run, or was killed, has not "failed".
		ts.Fatalf("unexpected failure: %v\n%s%s", o.Err, o.Stdout, o.Stderr)
	case o.Err == nil && neg:
		ts.Fatalf("unexpected success\n%s%s", o.Stdout, o.Stderr)
	}
}

func clientCommand(name string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		report(ts, neg, worldOf(ts).client(ts.MkAbs("."), scriptEnv(ts), append([]string{name}, args...)))
	}
}

func cmdKcmd(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: kcmd start|stop|kill9|reload|restart|run|activated|configured|running|said|logged")
	}
	d := worldOf(ts).daemon
	word, flags := args[0], args[1:]
	if neg && word != "run" {
		ts.Fatalf("unsupported: ! kcmd %s", word)
	}
	switch word {
	case "start":
		ts.Check(d.Start(flags...))
	case "stop":
		ts.Check(d.Stop())
	case "kill9":
		ts.Check(d.Kill())
	case "reload":
		ts.Check(d.Reload())
	case "restart":
		ts.Check(d.Stop())
		ts.Check(d.Start(flags...))
	case "run":
		var env []string
		for len(flags) > 0 && !strings.HasPrefix(flags[0], "-") && strings.Contains(flags[0], "=") {
			env, flags = append(env, flags[0]), flags[1:]
		}
		cmd := d.Command(flags...)
		cmd.Env = append(cmd.Env, env...)
		cmd.Dir = ts.MkAbs(".")
		report(ts, neg, execute(cmd))
	case "activated":
		d.Activated = flags
		if len(flags) == 0 {
			d.Activated = []string{"kcm"}
		}
		ts.Check(d.Start())
	case "configured":
		if len(flags) != 1 {
			ts.Fatalf("usage: kcmd configured FILE")
		}
		d.Unaddressed = true
		ts.Check(d.Start("--config", expand(ts, flags[0])))
	case "logged":
		if len(flags) != 1 {
			ts.Fatalf("usage: kcmd logged REGEX")
		}
		re, err := regexp.Compile("(?m)" + flags[0])
		ts.Check(err)
		if !re.MatchString(d.Log()) {
			ts.Fatalf("kcmd has not logged %#q but\n%s", flags[0], d.Log())
		}
	case "said":
		if len(flags) != 1 || !d.Said(flags[0]) {
			ts.Fatalf("kcmd has not told systemd %q", flags)
		}
	case "running":
		if !d.Running() {
			ts.Fatalf("kcmd has ended\n%s", d.Log())
		}
	default:
		ts.Fatalf("unknown: kcmd %s", word)
	}
}

// expand writes a copy of a script's file, with its variables in it, and returns
// the path.
func expand(ts *testscript.TestScript, file string) string {
	path := ts.MkAbs(file + ".expanded")
	ts.Check(os.WriteFile(path, []byte(os.Expand(ts.ReadFile(file), ts.Getenv)), 0o644))
	return path
}

func cmdContainer(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: container NAME SOCKET")
	}
	w := worldOf(ts)
	w.containers[args[0]] = w.daemon.SocketPath(args[1])
}

func cmdGSS(word string) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, neg bool, args []string) {
		if len(args) != 1 {
			ts.Fatalf("usage: %s SERVICE", word)
		}
		client, err := libkrb5Client()
		ts.Check(err)
		_, host, _ := strings.Cut(args[0], "/")
		report(ts, neg, worldOf(ts).client(ts.MkAbs("."), scriptEnv(ts), []string{client, word, host}))
	}
}

func cmdUntil(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: until REGEX COMMAND...")
	}
	re, err := regexp.Compile("(?m)" + args[0])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for {
		o := worldOf(ts).client(ts.MkAbs("."), scriptEnv(ts), args[1:])
		if o.Err == nil && re.MatchString(o.Stdout) {
			report(ts, false, o)
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no match for %#q in time; at last: %v\n%s%s", args[0], o.Err, o.Stdout, o.Stderr)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func cmdIssued(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: issued N [SERVICE]")
	}
	w := worldOf(ts)
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	service := w.service
	if len(args) == 2 {
		service = args[1]
	}
	got, err := w.kdc.TicketsIssued(service)
	ts.Check(err)
	if got != want {
		ts.Fatalf("the KDC has issued %d tickets for %s, want %d", got, service, want)
	}
}

func cmdKDC(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 || args[0] != "ahead" {
		ts.Fatalf("usage: kdc ahead SECONDS")
	}
	seconds, err := strconv.Atoi(args[1])
	ts.Check(err)
	w := worldOf(ts)
	kdc, err := w.realm.StartKDC(time.Duration(seconds) * time.Second)
	ts.Check(err)
	ts.Check(w.useKDC(kdc))
}

func cmdBus(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: bus session|system|stop|start")
	}
	w := worldOf(ts)
	switch args[0] {
	case "session", "system":
		var policy string
		if args[0] == "system" {
			var err error
			policy, err = servicePolicy()
			ts.Check(err)
		}
		bus, err := w.lab.NewBus(lab.BusType(args[0]), policy)
		ts.Check(err)
		w.daemon.Bus = bus
		name, value, _ := strings.Cut(bus.Env(), "=")
		ts.Setenv(name, value)
	case "stop":
		ts.Check(w.daemon.Bus.Stop())
	case "start":
		ts.Check(w.daemon.Bus.Start())
	default:
		ts.Fatalf("unknown: bus %s", args[0])
	}
}

func cmdWatch(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 1 || len(args) > 2 {
		ts.Fatalf("usage: watch NAME [UID]")
	}
	uid := os.Getuid()
	if len(args) == 2 {
		var err error
		uid, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	w := worldOf(ts)
	m, err := w.daemon.Bus.NewMonitor(args[0], uint32(uid))
	ts.Check(err)
	w.monitors[args[0]] = &monitor{Monitor: m}
}

func cmdFollow(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: follow NAME COMMAND...")
	}
	w := worldOf(ts)
	cmd, err := w.command(ts.MkAbs("."), scriptEnv(ts), args[1:])
	ts.Check(err)
	m, err := w.lab.Follow(args[0], cmd)
	ts.Check(err)
	w.monitors[args[0]] = &monitor{Monitor: m}
}

func monitorOf(ts *testscript.TestScript, name string) *monitor {
	m := worldOf(ts).monitors[name]
	if m == nil {
		ts.Fatalf("nobody watches as %s", name)
	}
	return m
}

func cmdSeen(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: seen NAME REGEX")
	}
	m := monitorOf(ts, args[0])
	re, err := regexp.Compile("(?m)" + args[1])
	ts.Check(err)
	deadline := time.Now().Add(patience)
	for {
		text := m.Output()[m.forgotten:]
		found := re.MatchString(text)
		switch {
		case found && neg:
			ts.Fatalf("%s has seen %q", args[0], re.FindString(text))
		case found || neg:
			return
		case time.Now().After(deadline):
			ts.Fatalf("%s has not seen %#q but\n%s", args[0], args[1], text)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func cmdForget(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: forget NAME")
	}
	m := monitorOf(ts, args[0])
	m.forgotten = len(m.Output())
}

// cmdOffset requests the KDC offset of the default cache, as libkrb5 does before an
// iteration. No client prints it.
func cmdOffset(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: offset SECONDS")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	c, err := dial(worldOf(ts).daemon.Socket)
	ts.Check(err)
	defer c.Close()
	code, reply, err := c.call(opGetKDCOffset, name(ownName()))
	ts.Check(err)
	if code != 0 || len(reply) != 4 {
		ts.Fatalf("code %d, reply %x", code, reply)
	}
	// A second may begin between the reading of both clocks.
	if got := int(int32(binary.BigEndian.Uint32(reply))); got < want-2 || got > want+2 {
		ts.Fatalf("the offset is %d, want %d", got, want)
	}
}
