package tests

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// patience is how long a test waits for what must happen. Only a failing test
// gets there.
const patience = 20 * time.Second

// A world is what a script happens in.
type world struct {
	lab      *lab.Lab
	realm    *lab.Realm
	kdc      *lab.KDC // the one that clients ask
	daemon   *lab.Daemon
	krb5conf string
	service  string
	monitors map[string]*monitor
}

// worldKey is where a script keeps its world.
type worldKey struct{}

// A monitor is a lab.Monitor, and how much of its output does not count.
type monitor struct {
	*lab.Monitor
	forgotten int
}

// newWorld makes a realm with a service of the given name and prepares a
// daemon.
func newWorld(name string) (w *world, err error) {
	kcmd, err := program()
	if err != nil {
		return nil, err
	}
	l, err := lab.New()
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.Close()
		}
	}()
	w = &world{
		lab:      l,
		daemon:   l.NewDaemon(kcmd),
		krb5conf: l.Path("krb5.conf"),
		service:  "host/" + name + ".kcmd.test",
		monitors: make(map[string]*monitor),
	}
	w.daemon.Verbose = true
	if w.realm, err = l.NewRealm(); err != nil {
		return nil, err
	}
	if err = w.realm.AddService(w.service); err != nil {
		return nil, err
	}
	if err = w.useKDC(w.realm.KDC); err != nil {
		return nil, err
	}
	return w, nil
}

// useKDC has clients ask that KDC from now on.
func (w *world) useKDC(kdc *lab.KDC) error {
	w.kdc = kdc
	return w.realm.WriteConfig(w.krb5conf, kdc.Port, w.daemon.Socket)
}

// env returns the variables that clients and scripts have.
func (w *world) env() []string {
	return append(w.daemon.ClientEnv(w.krb5conf),
		"service="+w.service,
		"UID="+strconv.Itoa(os.Getuid()),
		"SOCKET="+w.daemon.Socket,
		"DATABASE="+w.daemon.Database,
		"KEYTAB="+w.realm.Keytab,
	)
}

// An outcome is how a command ended and what it said.
type outcome struct {
	Stdout, Stderr string
	Err            error
}

// client runs a command with an environment. "kinit" gets the password of the
// user that is its last argument; a leading "as UID" is taken off and obeyed.
func client(dir string, env []string, args []string) outcome {
	uid := -1
	if len(args) > 2 && args[0] == "as" {
		n, err := strconv.ParseUint(args[1], 10, 32)
		if err != nil {
			return outcome{Err: fmt.Errorf("as: %w", err)}
		}
		uid, args = int(n), args[2:]
	}
	if len(args) == 0 {
		return outcome{Err: errors.New("no command")}
	}

	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	if args[0] == "kinit" {
		user, _, _ := strings.Cut(args[len(args)-1], "@")
		cmd.Stdin = strings.NewReader(lab.Password(user) + "\n")
	}
	if uid >= 0 {
		lab.As(cmd, uint32(uid))
	}
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := lab.Start(cmd); err != nil {
		return outcome{Err: err}
	}
	// A client that waits for an answer for ever is a failure like others.
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		err = fmt.Errorf("%s did not end within %v", args[0], patience)
	}
	return outcome{stdout.String(), stderr.String(), err}
}
