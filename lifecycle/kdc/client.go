package kdc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
)

// A Client has the helper work. Its methods may be called by several goroutines at
// once.
type Client struct {
	// Socket is the socket of the unit whose service is the helper, "" for none.
	Socket string

	// Command is the command of the helper where there is no socket.
	Command []string
}

// patience is how long a client waits for the helper.
const patience = Timeout + 5*time.Second

// Do has the helper do what r asks for. A failure is an error that is a *Failure.
func (c *Client) Do(ctx context.Context, r *Request) (*Reply, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	exchange := c.ask
	if c.Socket == "" {
		exchange = c.run
	}
	reply, err := exchange(ctx, r)
	var failure *Failure
	switch {
	case err != nil && errors.Is(ctx.Err(), context.Canceled):
		return nil, ctx.Err()
	case err == nil || errors.As(err, &failure):
		return reply, err
	case ctx.Err() != nil:
		return nil, &Failure{Unreachable, fmt.Sprintf("the KDC did not answer for %v", patience)}
	}
	return nil, broken(err)
}

// broken returns the failure of a helper that does not do its work.
func broken(err error) *Failure {
	text := fmt.Sprintf("cannot use the KDC helper: %v", err)
	return &Failure{Broken, text[:min(len(text), MaxText)]}
}

// ask connects to the unit of the helper.
func (c *Client) ask(ctx context.Context, r *Request) (*Reply, error) {
	var dialer net.Dialer
	conn, err := dialer.DialContext(ctx, "unix", c.Socket)
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	if err := r.Write(conn); err != nil {
		return nil, err
	}
	if err := conn.(*net.UnixConn).CloseWrite(); err != nil {
		return nil, err
	}
	return readReply(conn)
}

// run runs the helper as a child.
func (c *Client) run(ctx context.Context, r *Request) (*Reply, error) {
	cmd := exec.CommandContext(ctx, c.Command[0], c.Command[1:]...)
	cmd.Env = environment()
	cmd.Dir = "/"
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) } // it removes its files
	cmd.WaitDelay = 2 * time.Second
	// The kernel kills the helper when the thread that started it ends, as it does
	// with the daemon.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	reply, err := converse(r, in, out)
	if ended := cmd.Wait(); ended != nil && (err == nil || !isFailure(err)) {
		err = ended
	}
	return reply, err
}

func isFailure(err error) bool { return errors.As(err, new(*Failure)) }

func converse(r *Request, in io.WriteCloser, out io.Reader) (*Reply, error) {
	err := r.Write(in)
	if closed := in.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return nil, err
	}
	return readReply(out)
}

// passed are the variables that the helper gets from the environment of the daemon:
// where the programs, the configuration of Kerberos, the keytab of the host and
// private directories are.
var passed = []string{"PATH", "KRB5_CONFIG", "KRB5_KTNAME", "XDG_RUNTIME_DIR", "TMPDIR"}

func environment() []string {
	env := []string{"LC_ALL=C"}
	for _, name := range passed {
		if value := os.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}
