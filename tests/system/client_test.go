package system

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"kcmd.org/kcmd/tests/lab"
)

// containerUID is the uid outside of uid 0 in a container.
const containerUID = 50000

// An outcome is the error and the output of a command.
type outcome struct {
	Stdout, Stderr string
	Err            error
}

// execute runs a command and returns its outcome.
func execute(cmd *exec.Cmd) outcome {
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := lab.Start(cmd); err != nil {
		return outcome{Err: err}
	}
	// A client that waits for ever fails the test.
	timer := time.AfterFunc(patience, func() { _ = cmd.Process.Kill() })
	err := cmd.Wait()
	if !timer.Stop() {
		err = fmt.Errorf("%s did not end within %v", cmd.Args[0], patience)
	}
	return outcome{stdout.String(), stderr.String(), err}
}

// client runs a client with an environment, in the circumstances that the words before
// it describe (see TestScripts).
func (w *world) client(dir string, env, words []string) outcome {
	cmd, err := w.command(dir, env, words)
	if err != nil {
		return outcome{Err: err}
	}
	return execute(cmd)
}

// command returns the command that client runs.
func (w *world) command(dir string, env, words []string) (*exec.Cmd, error) {
	c := circumstances{uid: -1, socket: w.daemon.Socket}
	args, err := c.read(w, words)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir, cmd.Env = dir, slices.Clone(env)
	switch args[0] {
	case "kinit":
		c.givePassword(cmd)
	case "kcmctl":
		path, err := kcmctl()
		if err != nil {
			return nil, err
		}
		cmd = exec.Command(path, args[1:]...)
		cmd.Dir, cmd.Env = dir, slices.Clone(env)
		if slices.Contains(args, "--password-fd") {
			c.givePassword(cmd)
		}
	}
	if err := c.arrange(w, cmd); err != nil {
		return nil, err
	}
	return cmd, nil
}

// circumstances are the user, the socket and the namespaces of a client.
type circumstances struct {
	uid       int    // -1: ours
	socket    string // of the daemon
	other     bool   // it is not the daemon's first
	container bool
	heimdal   bool
}

// read reads the words before a command and returns the command.
func (c *circumstances) read(w *world, words []string) (args []string, err error) {
	for len(words) > 0 {
		word, rest := words[0], words[1:]
		switch word {
		case "heimdal":
			c.heimdal = true
			words = rest
			continue
		case "as", "via", "in":
			if len(rest) == 0 {
				return nil, fmt.Errorf("%s: whom or what?", word)
			}
		default:
			return words, nil
		}
		value := rest[0]
		words = rest[1:]
		switch word {
		case "as":
			uid, err := strconv.ParseUint(value, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("as: %w", err)
			}
			c.uid = int(uid)
		case "via":
			c.socket, c.other = w.daemon.SocketPath(value), true
		case "in":
			socket, ok := w.containers[value]
			if !ok {
				return nil, fmt.Errorf("in: there is no container %s", value)
			}
			c.socket, c.container = socket, true
		}
	}
	return nil, errors.New("no command")
}

// givePassword gives kinit the password of the user in its last argument.
func (c *circumstances) givePassword(cmd *exec.Cmd) {
	last := len(cmd.Args) - 1
	user, _, _ := strings.Cut(cmd.Args[last], "@")
	cmd.Stdin = strings.NewReader(lab.Password(user) + "\n")
	if c.heimdal && last > 0 && !strings.HasPrefix(user, "-") {
		cmd.Args = slices.Insert(cmd.Args, 1, "--password-file=STDIN")
	}
}

// arrange applies the circumstances to a command.
func (c *circumstances) arrange(w *world, cmd *exec.Cmd) error {
	if !c.heimdal && !c.container {
		if c.other {
			conf := c.socket + ".krb5.conf"
			if err := w.realm.WriteConfig(conf, w.kdc.Port, c.socket); err != nil {
				return err
			}
			cmd.Env = append(cmd.Env, "KRB5_CONFIG="+conf)
		}
		if c.uid >= 0 {
			lab.As(cmd, uint32(c.uid))
		}
		return nil
	}

	room := lab.Room{Socket: c.socket, UID: max(c.uid, 0)}
	if c.heimdal {
		h, err := heimdal()
		if err != nil {
			return err
		}
		h.Prepare(cmd)
	}
	if c.container {
		room.FirstUID = containerUID
	}
	cmd.Env = append(cmd.Env, "KRB5_CONFIG="+w.roomConf())
	return room.Enter(cmd)
}

// kcmctl returns kcmctl, built once.
var kcmctl = sync.OnceValues(func() (string, error) { return shared.Kcmctl("../..") })

// heimdal are Heimdal's clients, for all tests.
var heimdal = sync.OnceValues(func() (*lab.Heimdal, error) { return shared.NewHeimdal() })
