package lab

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long the lab waits for a server, which takes milliseconds on an
// idle machine.
const patience = time.Minute

// starter returns a queue of functions to be called on one thread that lives
// as long as the program. The kernel sends the death signal of a child when
// the *thread* that started it ends, and Go ends threads as it likes.
var starter = sync.OnceValue(func() chan<- func() {
	queue := make(chan func())
	go func() {
		runtime.LockOSThread()
		// A new session keyring, for the KEYRING: caches of clients, which end
		// with this program. A kernel without keyrings needs none.
		_, _ = unix.KeyctlJoinSessionKeyring(fmt.Sprintf("kcmd-lab-%d", os.Getpid()))
		for f := range queue {
			f()
		}
	}()
	return queue
})

// HasKeyrings reports whether the kernel lets programs use keyrings. Many containers do
// not.
func HasKeyrings() bool {
	_, err := unix.KeyctlGetKeyringID(unix.KEY_SPEC_SESSION_KEYRING, true)
	return err == nil
}

// Start starts a command that the kernel kills when this program ends,
// however it ends. Every process of a lab is started by it.
func Start(cmd *exec.Cmd) error {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Pdeathsig = syscall.SIGKILL
	result := make(chan error)
	starter() <- func() { result <- cmd.Start() }
	return <-result
}

// Run starts a command as Start does and waits for its end.
func Run(cmd *exec.Cmd) error {
	if err := Start(cmd); err != nil {
		return err
	}
	return cmd.Wait()
}

// Output runs a command to its end and returns its output and its errors as one text,
// which an error tells too.
func Output(cmd *exec.Cmd) (string, error) {
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err := Run(cmd)
	if err != nil {
		err = fmt.Errorf("%s: %w\n%s", filepath.Base(cmd.Path), err, out.String())
	}
	return out.String(), err
}

// As has a command run as another user, without any further group. Only root
// can do that.
func As(cmd *exec.Cmd, uid uint32) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	// The directory we are in may be closed to that user.
	cmd.Dir = "/"
}

// A process is a server that runs in the background, its output in a file.
type process struct {
	cmd     *exec.Cmd
	logPath string
	done    chan struct{} // closed when it has ended
	err     error         // how it ended, valid after done
}

// background starts a server with its output appended to the file logPath,
// and has the lab kill it in the end. It is in a process group of its own, so
// that an interrupt at the terminal does not end it before its clients.
func (l *Lab) background(cmd *exec.Cmd, logPath string) (*process, error) {
	log, err := os.OpenFile(logPath, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = new(syscall.SysProcAttr)
	}
	cmd.SysProcAttr.Setpgid = true
	if err := Start(cmd); err != nil {
		return nil, err
	}
	p := &process{cmd: cmd, logPath: logPath, done: make(chan struct{})}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	l.OnClose(p.kill)
	return p, nil
}

// running reports whether the process has not ended.
func (p *process) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// kill ends the process as kill -9 does and waits until it is gone.
func (p *process) kill() {
	if p.running() {
		// An error means that it has ended.
		_ = p.cmd.Process.Kill()
	}
	<-p.done
}

// stop asks the process to end with the signal, waits, and returns how it
// ended. One that does not end is killed.
func (p *process) stop(sig os.Signal) error {
	if !p.running() {
		return fmt.Errorf("%s had ended before: %w%s", p.cmd.Path, p.ended(), p.tail())
	}
	_ = p.cmd.Process.Signal(sig)
	select {
	case <-p.done:
		if p.err != nil {
			return fmt.Errorf("%s: %w%s", p.cmd.Path, p.err, p.tail())
		}
		return nil
	case <-time.After(patience):
		p.kill()
		return fmt.Errorf("%s did not end within %v after %v%s", p.cmd.Path, patience, sig, p.tail())
	}
}

// PID returns the process id.
func (p *process) PID() int { return p.cmd.Process.Pid }

// Ended returns an error once the process has ended, with the end of its log.
func (p *process) Ended() error {
	if p.running() {
		return nil
	}
	return fmt.Errorf("%s ended: %w%s", p.cmd.Path, p.ended(), p.tail())
}

// ended returns the end of the process as an error, also an exit status of 0: a
// server does not end by itself.
func (p *process) ended() error {
	if p.err == nil {
		return errors.New("exit status 0")
	}
	return p.err
}

// await polls until ready answers true, the process ends or time is up.
func (p *process) await(ready func() bool) error {
	deadline := time.Now().Add(patience)
	for !ready() {
		if err := p.Ended(); err != nil {
			return err
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%s is not ready after %v%s", p.cmd.Path, patience, p.tail())
		}
		time.Sleep(2 * time.Millisecond)
	}
	return nil
}

// tail returns the last lines of the log, for an error message.
func (p *process) tail() string {
	b, _ := os.ReadFile(p.logPath)
	lines := strings.Split(strings.TrimRight(string(b), "\n"), "\n")
	if len(lines) > 40 {
		lines = lines[len(lines)-40:]
	}
	if len(lines) == 1 && lines[0] == "" {
		return ""
	}
	return "\n\t" + strings.Join(lines, "\n\t")
}
