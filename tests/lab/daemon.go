package lab

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"time"
)

// A Daemon is a kcmd of the lab, with a socket and a store of its own that
// both stay when it is stopped and started again.
type Daemon struct {
	// Program is the path of the kcmd binary, as Build returns it.
	Program string
	// Socket is the path of its KCM socket.
	Socket string
	// Database is the path of its SQLite database.
	Database string
	// Bus is the bus that it appears on, nil for none.
	Bus *Bus
	// Verbose has it log every request.
	Verbose bool
	// Activated lists the names of the sockets (SocketPath has their paths) that
	// systemd-socket-activate listens on and passes to the daemon. The first client
	// starts the daemon, so that Start does not wait for readiness.
	Activated []string
	// Unaddressed starts the daemon without --socket.
	Unaddressed bool
	// Through is a command that executes the daemon: the daemon's own command is
	// appended to it.
	Through []string

	lab   *Lab
	proc  *process
	ready *readiness
}

// NewDaemon prepares a daemon. Start starts it.
func (l *Lab) NewDaemon(program string) *Daemon {
	d := &Daemon{
		Program:  program,
		Database: l.Path("state", "kcmd.db"),
		lab:      l,
	}
	d.Socket = d.SocketPath("kcm")
	l.OnClose(func() {
		if d.ready != nil {
			d.ready.close()
		}
	})
	return d
}

// Args returns the arguments that the daemon is started with, before any that
// Start is given.
func (d *Daemon) Args() []string {
	args := []string{"--store", "sqlite:" + d.Database}
	if !d.Unaddressed {
		args = append(args, "--socket", d.Socket)
	}
	if d.Verbose {
		args = append(args, "--log-level", "debug")
	}
	if d.Bus == nil {
		return append(args, "--bus", "none")
	}
	args = append(args, "--bus", d.Bus.Address)
	if d.Bus.Type == SessionBus {
		args = append(args, "--session")
	}
	return args
}

// SocketPath returns the path of the socket of that name: "kcm" is Socket.
func (d *Daemon) SocketPath(name string) string {
	return d.lab.Path(name + ".sock")
}

// Command returns a command that runs the binary with exactly these arguments
// and an environment without anything that would configure it.
func (d *Daemon) Command(args ...string) *exec.Cmd {
	cmd := exec.Command(d.Program, args...)
	cmd.Env = []string{
		"PATH=" + os.Getenv("PATH"), "HOME=" + d.lab.Dir, "LC_ALL=C.UTF-8", "TZ=UTC",
		// For renewals: a realm has its file there, and without it nothing is asked.
		"KRB5_CONFIG=" + d.lab.Path("krb5.conf"),
		// Not the one of this machine.
		"KRB5_KTNAME=" + d.lab.Path("no.keytab"),
		// With the race detector every end would take a second.
		"GORACE=atexit_sleep_ms=0",
	}
	return cmd
}

// Start starts the daemon and waits until it says that it is ready, and is on its bus. Further
// arguments come after those of Args.
func (d *Daemon) Start(args ...string) error {
	if d.proc != nil && d.proc.running() {
		return errors.New("cannot start kcmd: it is running")
	}
	if err := os.MkdirAll(d.lab.Path("state"), 0o700); err != nil {
		return fmt.Errorf("cannot start kcmd: %w", err)
	}
	if d.ready != nil {
		d.ready.close()
	}
	var err error
	if d.ready, err = newReadiness(d.lab.Path("notify")); err != nil {
		return fmt.Errorf("cannot start kcmd: %w", err)
	}

	cmd := d.Command(append(d.Args(), args...)...)
	if d.Activated != nil {
		if err := d.activate(cmd); err != nil {
			return fmt.Errorf("cannot start kcmd: %w", err)
		}
	}
	if err := putBefore(cmd, d.Through); err != nil {
		return fmt.Errorf("cannot start kcmd: %w", err)
	}
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+d.ready.path)
	appeared := d.appearances()
	p, err := d.lab.background(cmd, d.lab.Path("kcmd.log"))
	if err != nil {
		return fmt.Errorf("cannot start kcmd: %w", err)
	}
	d.proc = p
	if d.Activated != nil {
		return p.await(d.listening)
	}
	// On a busy machine it is ready before it is on the bus.
	onBus := func() bool { return d.Bus == nil || !d.Bus.proc.running() || d.appearances() > appeared }
	if err := p.await(func() bool { return d.Said("READY=1") && onBus() }); err != nil {
		p.kill()
		return fmt.Errorf("cannot start kcmd: %w", err)
	}
	return nil
}

// appearances returns how often the daemons of this lab came to the bus.
func (d *Daemon) appearances() int { return strings.Count(d.Log(), `msg="on the bus"`) }

// activate has systemd-socket-activate start the command.
func (d *Daemon) activate(cmd *exec.Cmd) error {
	args := []string{"systemd-socket-activate", "--fdname=" + strings.Join(d.Activated, ":")}
	for _, name := range d.Activated {
		args = append(args, "--listen="+d.SocketPath(name))
		// The socket of an earlier start would pass for the new one.
		os.Remove(d.SocketPath(name))
	}
	return putBefore(cmd, args)
}

// putBefore makes a command the arguments of another one, if there are any words.
func putBefore(cmd *exec.Cmd, words []string) error {
	if len(words) == 0 {
		return nil
	}
	path, err := exec.LookPath(words[0])
	if err != nil {
		return err
	}
	cmd.Path, cmd.Err = path, nil
	cmd.Args = append(slices.Clone(words), cmd.Args...)
	return nil
}

// listening reports whether systemd-socket-activate listens on all sockets of
// Activated, and opens them to all users, as a socket unit does. It does not connect,
// which would start the daemon.
func (d *Daemon) listening() bool {
	for _, name := range d.Activated {
		if !listensAt(d.SocketPath(name)) || os.Chmod(d.SocketPath(name), 0o666) != nil {
			return false
		}
	}
	return true
}

// listensAt reports whether a process listens on a socket, without connecting
// to it. A socket has a file from bind(2) on, and refuses clients until listen(2).
func listensAt(path string) bool {
	const acceptsConnections = "00010000" // __SO_ACCEPTCON in Flags
	table, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(table)) {
		// Num RefCount Protocol Flags Type St Inode Path
		f := strings.Fields(line)
		if len(f) > 7 && f[3] == acceptsConnections && strings.HasSuffix(line, " "+path+"\n") {
			return true
		}
	}
	return false
}

// Stop asks the daemon to end. It is an error if it does not exit with 0.
func (d *Daemon) Stop() error {
	if d.proc == nil {
		return errors.New("cannot stop kcmd: it was not started")
	}
	if err := d.proc.stop(syscall.SIGTERM); err != nil {
		return fmt.Errorf("cannot stop kcmd: %w", err)
	}
	return nil
}

// Reload has the daemon read its configuration again, and waits until it has.
func (d *Daemon) Reload() error {
	if d.proc == nil || !d.proc.running() {
		return errors.New("cannot reload kcmd: it is not running")
	}
	reloads := func() int {
		return strings.Count(d.Log(), `msg="reloaded the configuration"`) + strings.Count(d.Log(), `msg="cannot reload the configuration`)
	}
	before := reloads()
	if err := d.proc.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		return fmt.Errorf("cannot reload kcmd: %w", err)
	}
	return d.proc.await(func() bool {
		d.Said("") // reads what it says: it waits when nobody does
		return reloads() > before
	})
}

// Kill sends SIGKILL to the daemon.
func (d *Daemon) Kill() error {
	if d.proc == nil || !d.proc.running() {
		return errors.New("cannot kill kcmd: it is not running")
	}
	d.proc.kill()
	return nil
}

// Check has kcmd verify the database, if there is one.
func (d *Daemon) Check() error {
	if _, err := os.Stat(d.Database); err != nil {
		return nil
	}
	cmd := d.Command("check", d.Database)
	if _, err := Output(cmd); err != nil {
		return fmt.Errorf("kcmd check: %w", err)
	}
	return nil
}

// Running reports whether the daemon was started and has not ended.
func (d *Daemon) Running() bool {
	return d.proc != nil && d.proc.running()
}

// Ended returns an error once the daemon has ended, with the end of its log.
func (d *Daemon) Ended() error { return d.proc.Ended() }

// Said reports whether the daemon has sent that line with sd_notify(3) since its start.
func (d *Daemon) Said(line string) bool {
	return d.ready != nil && d.ready.received(line)
}

// PID returns the process id of the daemon, 0 if it was never started.
func (d *Daemon) PID() int {
	if d.proc == nil {
		return 0
	}
	return d.proc.cmd.Process.Pid
}

// Log returns what the daemon has written to its standard error, over all its
// starts.
func (d *Daemon) Log() string {
	b, _ := os.ReadFile(d.lab.Path("kcmd.log"))
	return string(b)
}

// ClientEnv returns the environment of a client of the daemon.
func (d *Daemon) ClientEnv(krb5conf string) []string {
	env := []string{
		"PATH=" + os.Getenv("PATH"),
		"HOME=/",
		"LC_ALL=C.UTF-8",
		"TZ=UTC",
		"KRB5_CONFIG=" + krb5conf,
		"KRB5CCNAME=KCM:",
	}
	if d.Bus != nil {
		env = append(env, d.Bus.Env())
	}
	return env
}

// readiness is the other end of sd_notify.
type readiness struct {
	path string
	conn *net.UnixConn
	said []byte
}

func newReadiness(path string) (*readiness, error) {
	os.Remove(path)
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, err
	}
	// The daemon may run as any user.
	return &readiness{path: path, conn: conn}, os.Chmod(path, 0o666)
}

// received reports whether the line has come.
func (r *readiness) received(want string) bool {
	buf := make([]byte, 4096)
	_ = r.conn.SetReadDeadline(time.Now().Add(time.Millisecond))
	for {
		n, err := r.conn.Read(buf)
		if err != nil {
			break
		}
		r.said = append(append(r.said, buf[:n]...), '\n')
	}
	for line := range bytes.Lines(r.said) {
		if strings.TrimSpace(string(line)) == want {
			return true
		}
	}
	return false
}

func (r *readiness) close() {
	r.conn.Close()
	os.Remove(r.path)
}
